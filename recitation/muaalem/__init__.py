"""The interface of the package quran-muaalem, without torch: its types, its alignment, its explanation.

``qasr.muaalem`` has the class that runs an artifact behind it.
"""
