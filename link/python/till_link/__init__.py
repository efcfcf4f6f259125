"""The till link in pure Python: see SPEC.md beside the Rust crate for the normative text.

`pos` is a whole POS but for its shop: subclass `Pos` (example_pos.py does). Under it, `frame` puts bytes on
the wire and finds them again, `message` says what they mean, `endpoint` loses nothing and takes nothing
twice, `journal` keeps on disk what must survive; they open no port and read no clock.
"""

from .endpoint import Config, Endpoint, Event, Resume, Role, Source, Stats
from .frame import Accumulator, Kind, crc32c, encode_frame
from .journal import Journal
from .message import DecodeError, decode_to_pos, decode_to_till, encode
from .pos import Line, Pos
from .secure import Key

VERSION = (1, 0)

__all__ = [
    "VERSION",
    "Accumulator",
    "Config",
    "DecodeError",
    "Endpoint",
    "Event",
    "Journal",
    "Key",
    "Kind",
    "Line",
    "Pos",
    "Resume",
    "Role",
    "Source",
    "Stats",
    "crc32c",
    "decode_to_pos",
    "decode_to_till",
    "encode",
    "encode_frame",
]
