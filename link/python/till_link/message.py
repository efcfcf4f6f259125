"""What is said over the link, and its bytes. SPEC.md 4 and 5.

Each message is a frozen dataclass; the codec of a field stands in its metadata, so that the order of the
fields here is the order on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Callable, List, Optional, Tuple, Type, TypeVar

SCHEMA_TEXT = (
    "till-link/1 "
    "sale{counter,epoch,session:u32} line{sku:str32,name:str48,unit:i64,quantity:u16,evidence} "
    "evidence{votes,frames,score:u16,mass:bool} "
    "cart{lines:24,total:i64,currency:[u8;3],catalogue:u32,mass_g:i32} "
    "price{sku:str32,unit:i64} prices:16 jpeg:512 "
    "topos[opened,cart,offer,withdrawn,closed,query,attention,member,state,clock,queryprices,price,thumbnail,guide] "
    "totill[paid,cancel,outcome,override,language,acknowledge,queryprice,prices,recognise,enrol] "
    "outcome[paid,cancelled,abandoned] tender[cash,card,member,other] "
    "attention[uncertainitem,unknownitem,overlap,outofpicture,massmismatch,cameralost,toomanyitems,outcomeunknown,storagefull,enginefailed,scalelost] "
    "phase[idle,present,scanning,settled,offered,paid,cancelled,abandoned,clearing,attention] "
    "rung[tensorrt,onnxruntime,rten,staffmode] precision[fp32,fp16,int8] "
    "hint[front,right,left,down,up,closer,back,light,still,uncover,alone,done,unknown,known,late,failed]"
)


class DecodeError(ValueError):
    """Bytes that are no message; `kind` is the word that SPEC.md uses for the error."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Reader:
    """Takes values from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise DecodeError("truncated")
        part = self._data[self._at : end]
        self._at = end
        return part

    def varint(self, bits: int) -> int:
        value = 0
        for i in range(-(-bits // 7)):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value >> bits:
                    break
                return value
        raise DecodeError("bad_varint")

    def end(self) -> None:
        if self._at != len(self._data):
            raise DecodeError("trailing")


def _varint(value: int, bits: int) -> bytes:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} does not fit {bits} bits")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True)
class Codec:
    """How one value stands on the wire."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]


def _unsigned(bits: int) -> Codec:
    return Codec(lambda r: r.varint(bits), lambda v: _varint(v, bits))


def _signed(bits: int) -> Codec:
    def read(r: Reader) -> int:
        value = r.varint(bits)
        return (value >> 1) ^ -(value & 1)

    def write(value: int) -> bytes:
        return _varint((value << 1) ^ (value >> (bits - 1)), bits)

    return Codec(read, write)


def _flag(error: str) -> Callable[[Reader], bool]:
    def read(r: Reader) -> bool:
        byte = r.take(1)[0]
        if byte > 1:
            raise DecodeError(error)
        return byte == 1

    return read


def _text(most: int) -> Codec:
    def read(r: Reader) -> str:
        data = r.take(r.varint(32))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("bad_utf8") from None
        if len(data) > most:
            raise DecodeError("too_long")
        return text

    def write(text: str) -> bytes:
        data = text.encode("utf-8")
        if len(data) > most:
            raise ValueError(f"{text!r} is longer than {most} bytes")
        return _varint(len(data), 32) + data

    return Codec(read, write)


def _bytes(most: int) -> Codec:
    def read(r: Reader) -> bytes:
        length = r.varint(32)
        if length > most:
            raise DecodeError("too_long")
        return r.take(length)

    def write(data: bytes) -> bytes:
        if len(data) > most:
            raise ValueError(f"{len(data)} bytes where {most} fit")
        return _varint(len(data), 32) + data

    return Codec(read, write)


def _raw(count: int) -> Codec:
    def write(value: bytes) -> bytes:
        if len(value) != count:
            raise ValueError(f"{value!r} is not {count} bytes")
        return value

    return Codec(lambda r: r.take(count), write)


def _enum(cls: Type[IntEnum]) -> Codec:
    def read(r: Reader) -> IntEnum:
        try:
            return cls(r.varint(32))
        except ValueError as error:
            if isinstance(error, DecodeError):
                raise
            raise DecodeError("unknown_variant") from None

    return Codec(read, lambda v: _varint(int(v), 32))


def _option(inner: Codec) -> Codec:
    present = _flag("bad_option")
    return Codec(
        lambda r: inner.read(r) if present(r) else None,
        lambda v: b"\0" if v is None else b"\1" + inner.write(v),
    )


def _read_struct(cls: Type[Any], r: Reader) -> Any:
    return cls(*[f.metadata["codec"].read(r) for f in fields(cls)])


def _write_struct(value: Any) -> bytes:
    return b"".join(f.metadata["codec"].write(getattr(value, f.name)) for f in fields(value))


def _struct(cls: Type[Any]) -> Codec:
    return Codec(lambda r: _read_struct(cls, r), _write_struct)


def _list(inner: Codec, most: int) -> Codec:
    def read(r: Reader) -> Tuple[Any, ...]:
        count = r.varint(32)
        if count > most:
            raise DecodeError("too_long")
        return tuple(inner.read(r) for _ in range(count))

    def write(values: Tuple[Any, ...]) -> bytes:
        if len(values) > most:
            raise ValueError(f"{len(values)} where {most} fit")
        return _varint(len(values), 32) + b"".join(inner.write(v) for v in values)

    return Codec(read, write)


def _as(codec: Codec) -> Any:
    return field(metadata={"codec": codec})


U16, U32, U64 = _unsigned(16), _unsigned(32), _unsigned(64)
U8 = Codec(lambda reader: reader.take(1)[0], lambda v: bytes([v]))
I32, I64 = _signed(32), _signed(64)
BOOL = Codec(_flag("bad_bool"), lambda v: b"\1" if v else b"\0")


class Attention(IntEnum):
    """Why a person is needed, or the shopper must do something."""

    UncertainItem = 0
    UnknownItem = 1
    Overlap = 2
    OutOfPicture = 3
    MassMismatch = 4
    CameraLost = 5
    TooManyItems = 6
    OutcomeUnknown = 7
    StorageFull = 8
    EngineFailed = 9
    ScaleLost = 10


class Phase(IntEnum):
    """Where a session stands."""

    Idle = 0
    Present = 1
    Scanning = 2
    Settled = 3
    Offered = 4
    Paid = 5
    Cancelled = 6
    Abandoned = 7
    Clearing = 8
    Attention = 9


class Rung(IntEnum):
    """What runs the detector."""

    TensorRt = 0
    OnnxRuntime = 1
    Rten = 2
    StaffMode = 3


class Precision(IntEnum):
    """How the detector's network computes."""

    Fp32 = 0
    Fp16 = 1
    Int8 = 2


class Hint(IntEnum):
    """What the person before the face camera should do, or how it ended; directions are the person's own."""

    Front = 0
    Right = 1
    Left = 2
    Down = 3
    Up = 4
    Closer = 5
    Back = 6
    Light = 7
    Still = 8
    Uncover = 9
    Alone = 10
    Done = 11
    Unknown = 12
    Known = 13
    Late = 14
    Failed = 15


class Tender(IntEnum):
    """How it was paid."""

    Cash = 0
    Card = 1
    Member = 2
    Other = 3


class Outcome(IntEnum):
    """How a sale ended."""

    Paid = 0
    Cancelled = 1
    Abandoned = 2


@dataclass(frozen=True, order=True)
class SaleId:
    """The name of a sale for ever."""

    counter: int = _as(U32)
    epoch: int = _as(U32)
    session: int = _as(U32)

    def __str__(self) -> str:
        return f"{self.counter}-{self.epoch:08x}-{self.session}"


@dataclass(frozen=True)
class Evidence:
    """Why a line is believed."""

    votes: int = _as(U16)
    frames: int = _as(U16)
    score_permille: int = _as(U16)
    mass_agrees: bool = _as(BOOL)


@dataclass(frozen=True)
class Line:
    """One product in a cart; the price is of one, in minor units."""

    sku: str = _as(_text(32))
    name: str = _as(_text(48))
    unit_minor: int = _as(I64)
    quantity: int = _as(U16)
    evidence: Evidence = _as(_struct(Evidence))


@dataclass(frozen=True)
class Cart:
    """A whole cart."""

    lines: Tuple[Line, ...] = _as(_list(_struct(Line), 24))
    total_minor: int = _as(I64)
    currency: bytes = _as(_raw(3))
    catalogue_version: int = _as(U32)
    mass_g: int = _as(I32)

    def adds_up(self) -> bool:
        """Whether the total is the sum over the lines (L-025)."""
        return self.total_minor == sum(line.unit_minor * line.quantity for line in self.lines)


@dataclass(frozen=True)
class ListPrice:
    """What one product costs, in minor units."""

    sku: str = _as(_text(32))
    unit_minor: int = _as(I64)


SALE, CART = _struct(SaleId), _struct(Cart)


class ToPos:
    """Any message from the counter to the POS."""

    durable = False


class ToTill:
    """Any message from the POS to the counter."""

    durable = False


@dataclass(frozen=True)
class SessionOpened(ToPos):
    sale: SaleId = _as(SALE)


@dataclass(frozen=True)
class CartChanged(ToPos):
    sale: SaleId = _as(SALE)
    cart: Cart = _as(CART)


@dataclass(frozen=True)
class Offer(ToPos):
    durable = True
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)
    cart: Cart = _as(CART)


@dataclass(frozen=True)
class Withdrawn(ToPos):
    durable = True
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)


@dataclass(frozen=True)
class Closed(ToPos):
    durable = True
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)
    outcome: Outcome = _as(_enum(Outcome))
    cart: Cart = _as(CART)


@dataclass(frozen=True)
class QueryOutcome(ToPos):
    durable = True
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)


@dataclass(frozen=True)
class AttentionIs(ToPos):
    sale: Optional[SaleId] = _as(_option(SALE))
    reason: Attention = _as(_enum(Attention))
    on: bool = _as(BOOL)


@dataclass(frozen=True)
class Member(ToPos):
    sale: SaleId = _as(SALE)
    member: str = _as(_text(32))
    score_permille: int = _as(U16)


@dataclass(frozen=True)
class State(ToPos):
    phase: Phase = _as(_enum(Phase))
    rung: Rung = _as(_enum(Rung))
    reason: str = _as(_text(64))
    precision: Optional[Precision] = _as(_option(_enum(Precision)))


@dataclass(frozen=True)
class Clock(ToPos):
    unix_s: int = _as(U64)
    trusted: bool = _as(BOOL)


@dataclass(frozen=True)
class QueryPrices(ToPos):
    version: int = _as(U32)
    part: int = _as(U16)


@dataclass(frozen=True)
class Price(ToPos):
    sku: str = _as(_text(32))
    unit_minor: Optional[int] = _as(_option(I64))
    currency: bytes = _as(_raw(3))
    catalogue_version: int = _as(U32)


@dataclass(frozen=True)
class Thumbnail(ToPos):
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)
    part: int = _as(U16)
    parts: int = _as(U16)
    jpeg: bytes = _as(_bytes(512))


@dataclass(frozen=True)
class Paid(ToTill):
    durable = True
    sale: SaleId = _as(SALE)
    revision: int = _as(U16)
    tender: Tender = _as(_enum(Tender))
    amount_minor: int = _as(I64)


@dataclass(frozen=True)
class Cancel(ToTill):
    durable = True
    sale: SaleId = _as(SALE)


@dataclass(frozen=True)
class OutcomeIs(ToTill):
    durable = True
    sale: SaleId = _as(SALE)
    outcome: Optional[Outcome] = _as(_option(_enum(Outcome)))


@dataclass(frozen=True)
class Override(ToTill):
    durable = True
    sale: SaleId = _as(SALE)
    reason: Attention = _as(_enum(Attention))


@dataclass(frozen=True)
class Language(ToTill):
    code: bytes = _as(_raw(2))


@dataclass(frozen=True)
class Acknowledge(ToTill):
    durable = True
    sale: Optional[SaleId] = _as(_option(SALE))
    reason: Attention = _as(_enum(Attention))


@dataclass(frozen=True)
class QueryPrice(ToTill):
    sku: str = _as(_text(32))


@dataclass(frozen=True)
class Prices(ToTill):
    version: int = _as(U32)
    part: int = _as(U16)
    parts: int = _as(U16)
    currency: bytes = _as(_raw(3))
    prices: Tuple[ListPrice, ...] = _as(_list(_struct(ListPrice), 16))


@dataclass(frozen=True)
class Guide(ToPos):
    sale: Optional[SaleId] = _as(_option(SALE))
    hint: Hint = _as(_enum(Hint))
    step: int = _as(U8)
    steps: int = _as(U8)


@dataclass(frozen=True)
class Recognise(ToTill):
    sale: SaleId = _as(SALE)
    on: bool = _as(BOOL)


@dataclass(frozen=True)
class Enrol(ToTill):
    member: str = _as(_text(32))
    consent: str = _as(_text(32))
    on: bool = _as(BOOL)


TO_POS: List[Type[ToPos]] = [
    SessionOpened, CartChanged, Offer, Withdrawn, Closed, QueryOutcome, AttentionIs, Member, State, Clock,
    QueryPrices, Price, Thumbnail, Guide,
]  # fmt: skip
TO_TILL: List[Type[ToTill]] = [
    Paid, Cancel, OutcomeIs, Override, Language, Acknowledge, QueryPrice, Prices, Recognise, Enrol,
]  # fmt: skip

M = TypeVar("M")


def _decode(kinds: List[Type[M]], data: bytes) -> M:
    reader = Reader(data)
    number = reader.varint(32)
    if number >= len(kinds):
        raise DecodeError("unknown_variant")
    message: M = _read_struct(kinds[number], reader)
    reader.end()
    return message


def decode_to_pos(data: bytes) -> ToPos:
    """A message of the counter; DecodeError unless the bytes are exactly one."""
    return _decode(TO_POS, data)


def decode_to_till(data: bytes) -> ToTill:
    """A message of the POS; DecodeError unless the bytes are exactly one."""
    return _decode(TO_TILL, data)


def encode(message: "ToPos | ToTill") -> bytes:
    """The bytes of a message; ValueError when a value does not fit its field."""
    kinds: List[Any] = list(TO_POS if isinstance(message, ToPos) else TO_TILL)
    return _varint(kinds.index(type(message)), 32) + _write_struct(message)
