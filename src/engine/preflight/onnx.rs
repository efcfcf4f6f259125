//! An ONNX file as plain data: the messages of `onnx.proto3` (ONNX 1.17) with their field numbers, all that a backend
//! may read. Whatever decodes here holds no number of more than ten bytes and no length past its end, at any depth of
//! the messages named below.

use prost::Message;

/// Element types of `TensorProto.DataType` that have a meaning here.
pub mod data_type {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const INT16: i32 = 5;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const STRING: i32 = 8;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const BFLOAT16: i32 = 16;

    /// Its name in `onnx.proto3`.
    pub fn name(t: i32) -> &'static str {
        const NAMES: [&str; 17] = [
            "UNDEFINED",
            "FLOAT",
            "UINT8",
            "INT8",
            "UINT16",
            "INT16",
            "INT32",
            "INT64",
            "STRING",
            "BOOL",
            "FLOAT16",
            "DOUBLE",
            "UINT32",
            "UINT64",
            "COMPLEX64",
            "COMPLEX128",
            "BFLOAT16",
        ];
        usize::try_from(t).ok().and_then(|t| NAMES.get(t)).copied().unwrap_or("a type newer than BFLOAT16")
    }

    /// Bytes of an element in `raw_data`; `None` where it is packed, has no fixed size or is unknown.
    pub fn bytes(t: i32) -> Option<u64> {
        match t {
            UINT8 | INT8 | BOOL => Some(1),
            4 | INT16 | FLOAT16 | BFLOAT16 => Some(2),
            FLOAT | INT32 | 12 => Some(4),
            INT64 | DOUBLE | 13 | 14 => Some(8),
            15 => Some(16),
            _ => None,
        }
    }
}

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "4")]
    pub domain: String,
    #[prost(int64, tag = "5")]
    pub model_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opsets: Vec<Opset>,
    #[prost(message, repeated, tag = "14")]
    pub metadata: Vec<Entry>,
    #[prost(message, repeated, tag = "20")]
    pub training: Vec<Training>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Opset {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `TrainingInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Training {
    #[prost(message, optional, tag = "1")]
    pub initialization: Option<Graph>,
    #[prost(message, optional, tag = "2")]
    pub algorithm: Option<Graph>,
}

/// `FunctionProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "7")]
    pub nodes: Vec<Node>,
    #[prost(message, repeated, tag = "9")]
    pub opsets: Vec<Opset>,
    #[prost(string, tag = "10")]
    pub domain: String,
    #[prost(message, repeated, tag = "11")]
    pub attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "12")]
    pub values: Vec<ValueInfo>,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "13")]
    pub values: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "14")]
    pub annotations: Vec<Annotation>,
    #[prost(message, repeated, tag = "15")]
    pub sparse: Vec<Sparse>,
    #[prost(message, repeated, tag = "16")]
    pub metadata: Vec<Entry>,
}

/// `TensorAnnotation`.
#[derive(Clone, PartialEq, Message)]
pub struct Annotation {
    #[prost(string, tag = "1")]
    pub tensor: String,
    #[prost(message, repeated, tag = "2")]
    pub parameters: Vec<Entry>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op: String,
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
    #[prost(message, repeated, tag = "9")]
    pub metadata: Vec<Entry>,
}

impl Node {
    /// Attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// Integer attribute `name`, or `default`.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// Integers of attribute `name`; empty without it.
    pub fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |a| &a.ints)
    }

    /// String attribute `name`, or `default`; empty when it isn't UTF-8.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.attribute(name).map_or(default, |a| std::str::from_utf8(&a.s).unwrap_or_default())
    }

    /// Input `index`, unless it is left out.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|s| !s.is_empty())
    }
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    pub g: Option<Graph>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<Graph>,
    #[prost(message, optional, tag = "14")]
    pub type_: Option<Type>,
    #[prost(message, repeated, tag = "15")]
    pub types: Vec<Type>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
    #[prost(message, optional, tag = "22")]
    pub sparse: Option<Sparse>,
    #[prost(message, repeated, tag = "23")]
    pub sparses: Vec<Sparse>,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(message, optional, tag = "3")]
    pub segment: Option<Segment>,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw: Option<Vec<u8>>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    #[prost(message, repeated, tag = "13")]
    pub external: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub location: i32,
    #[prost(message, repeated, tag = "16")]
    pub metadata: Vec<Entry>,
}

/// `TensorProto.Segment`.
#[derive(Clone, PartialEq, Message)]
pub struct Segment {
    #[prost(int64, tag = "1")]
    pub begin: i64,
    #[prost(int64, tag = "2")]
    pub end: i64,
}

impl Tensor {
    /// Number of elements its dimensions say; `None` when one is negative or the product is no number.
    pub fn elements(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?))
    }

    /// Its integers, whatever their width; `None` for other types and for data that doesn't fit.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let raw = self.raw.as_deref();
        match (self.data_type, raw) {
            (data_type::INT64, Some(raw)) => {
                Some(raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            (data_type::INT64, None) => Some(self.int64_data.clone()),
            (data_type::INT32, Some(raw)) => {
                Some(raw.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
            }
            (data_type::INT8, Some(raw)) => Some(raw.iter().map(|&b| i64::from(b.cast_signed())).collect()),
            (data_type::UINT8, Some(raw)) => Some(raw.iter().map(|&b| i64::from(b)).collect()),
            (data_type::INT32 | data_type::INT8 | data_type::UINT8, None) => {
                Some(self.int32_data.iter().map(|&v| v.into()).collect())
            }
            _ => None,
        }
    }

    /// Its values when they are FLOAT.
    pub fn floats(&self) -> Option<Vec<f32>> {
        match (self.data_type, self.raw.as_deref()) {
            (data_type::FLOAT, Some(raw)) => {
                Some(raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            (data_type::FLOAT, None) => Some(self.float_data.clone()),
            _ => None,
        }
    }
}

/// `SparseTensorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Sparse {
    #[prost(message, optional, tag = "1")]
    pub values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    pub indices: Option<Tensor>,
    #[prost(int64, repeated, tag = "3")]
    pub dims: Vec<i64>,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub type_: Option<Type>,
    #[prost(message, repeated, tag = "4")]
    pub metadata: Vec<Entry>,
}

/// `TypeProto`; of sequences, maps and options only that they are none of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
    #[prost(message, optional, boxed, tag = "4")]
    pub sequence: Option<Box<Inner>>,
    #[prost(message, optional, boxed, tag = "5")]
    pub map: Option<Box<Map>>,
    #[prost(message, optional, tag = "8")]
    pub sparse: Option<TensorType>,
    #[prost(message, optional, boxed, tag = "9")]
    pub option: Option<Box<Inner>>,
}

/// `TypeProto.Sequence` and `TypeProto.Optional`.
#[derive(Clone, PartialEq, Message)]
pub struct Inner {
    #[prost(message, optional, boxed, tag = "1")]
    pub elem: Option<Box<Type>>,
}

/// `TypeProto.Map`.
#[derive(Clone, PartialEq, Message)]
pub struct Map {
    #[prost(int32, tag = "1")]
    pub key: i32,
    #[prost(message, optional, boxed, tag = "2")]
    pub value: Option<Box<Type>>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dims: Vec<Dim>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(oneof = "DimValue", tags = "1, 2")]
    pub value: Option<DimValue>,
}

/// A number or a name.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum DimValue {
    #[prost(int64, tag = "1")]
    Number(i64),
    #[prost(string, tag = "2")]
    Name(String),
}

impl ValueInfo {
    /// Element type and, where every dimension is a number that fits, the shape.
    pub fn tensor(&self) -> Option<(i32, Option<Vec<u64>>)> {
        let tensor = self.type_.as_ref()?.tensor.as_ref()?;
        let shape = tensor.shape.as_ref().and_then(|s| s.dims.iter().map(Dim::number).collect());
        Some((tensor.elem_type, shape))
    }
}

impl Dim {
    /// The dimension where it is stated as a number that fits.
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            Some(DimValue::Number(n)) => u64::try_from(*n).ok(),
            _ => None,
        }
    }
}

/// Reads an ONNX file; says why it is none.
pub fn read(bytes: &[u8]) -> Result<Model, String> {
    let model = Model::decode(bytes).map_err(|e| format!("the file is no ONNX model, or cut off: {e}"))?;
    if model.graph.is_none() {
        return Err("the file holds no graph: no ONNX model".into());
    }
    Ok(model)
}
