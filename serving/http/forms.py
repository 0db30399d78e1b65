"""Multipart forms with one recording."""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .errors import RequestError

_MOST_FIELDS = 64
_LONGEST_FIELD = 1 << 16
_LONGEST_NAME = 200
_ENCODED_NAME = re.compile(rb"filename\*=(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """The recording, and the other fields."""

    file: UploadFile
    name: str
    """The name of the file for messages and transcripts. It is never used as a path."""
    fields: FormData

    def one(self, field: str) -> str | None:
        """The value of a field; None if it is absent or empty. Raises RequestError if it is given twice."""
        values = [value for value in self.fields.getlist(field) if isinstance(value, str)]
        if len(values) > 1:
            raise RequestError(f"{field} is given {len(values)} times", param=field)
        return values[0].strip() or None if values else None

    def several(self, field: str) -> list[str]:
        """The values of a field that may be repeated, also under its name with brackets."""
        values = [*self.fields.getlist(field), *self.fields.getlist(f"{field}[]")]
        return [value.strip() for value in values if isinstance(value, str) and value.strip()]

    async def close(self) -> None:
        """Delete the upload."""
        await self.fields.close()


class _Parser(MultiPartParser):
    """Starlette's parser, which also takes ``filename*=UTF-8''…`` (RFC 5987), as some clients write other alphabets."""

    def on_headers_finished(self) -> None:
        """All headers of a part are there."""
        part = self._current_part
        if part.content_disposition is not None:
            part.content_disposition = _ENCODED_NAME.sub(_decoded_name, part.content_disposition)
        super().on_headers_finished()


def _decoded_name(match: re.Match[bytes]) -> bytes:
    name = unquote_to_bytes(match[2]).decode(match[1].decode(), "replace").replace('"', "_").replace("\\", "_")
    return b'filename="' + name.encode() + b'"'


async def read_form(request: Request) -> Form:
    """Read a form with a ``file``; small uploads are kept in memory, others on disk. Raises RequestError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestError(
            f"the body must be multipart/form-data, not {kind or 'without a type'}", status=415, code="unsupported_body"
        )
    try:
        async with aclosing(request.stream()) as body:
            parser = _Parser(request.headers, body, max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
            fields = await parser.parse()
    except MultiPartException as error:
        raise RequestError(f"the form cannot be read: {error.message}", code="invalid_form") from None
    file = fields.get("file")
    if not isinstance(file, UploadFile):
        await fields.close()
        raise RequestError(
            "the form has no file named 'file'; with curl: -F file=@audio.wav", param="file", code="missing_file"
        )
    return Form(file, _name(file.filename), fields)


def _name(stated: str | None) -> str:
    """A name for one line of text."""
    last = (stated or "").replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:_LONGEST_NAME] or "audio"
