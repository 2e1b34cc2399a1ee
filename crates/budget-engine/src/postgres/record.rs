//! Rows of tables as values: the server takes an array of rows in a third of the time that it takes for an array of each
//! column.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// A row, in the order of its table's columns.
#[derive(Debug)]
pub(super) struct Record<'a>(pub(super) Vec<Field<'a>>);

#[derive(Debug)]
pub(super) enum Field<'a> {
    Id(Option<Uuid>),
    Number(Option<i64>),
    Int(i32),
    Small(i16),
    Text(Option<&'a str>),
    Owned(Option<String>),
    Flag(Option<bool>),
}

impl ToSql for Record<'_> {
    /// The number of fields; then each with its type and length, where -1 is null.
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Kind::Composite(columns) = ty.kind() else {
            return Err(format!("{ty} is no table").into());
        };
        if columns.len() != self.0.len() {
            return Err(format!("{ty} has {} columns, not {}", columns.len(), self.0.len()).into());
        }
        out.extend_from_slice(&i32::try_from(columns.len())?.to_be_bytes());
        for (column, field) in columns.iter().zip(&self.0) {
            out.extend_from_slice(&column.type_().oid().to_be_bytes());
            let start = out.len();
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            if let IsNull::Yes = field.to_sql(column.type_(), out)? {
                continue;
            }
            let written = out.len().saturating_sub(start).saturating_sub(size_of::<i32>());
            let length = i32::try_from(written)?.to_be_bytes();
            if let Some(place) = out.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
                *place = length;
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Composite(_))
    }

    to_sql_checked!();
}

impl Field<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Id(id) => id.to_sql_checked(ty, out),
            Self::Number(number) => number.to_sql_checked(ty, out),
            Self::Int(number) => number.to_sql_checked(ty, out),
            Self::Small(number) => number.to_sql_checked(ty, out),
            Self::Text(text) => text.to_sql_checked(ty, out),
            Self::Owned(text) => text.to_sql_checked(ty, out),
            Self::Flag(flag) => flag.to_sql_checked(ty, out),
        }
    }
}

impl From<Uuid> for Field<'_> {
    fn from(id: Uuid) -> Self {
        Self::Id(Some(id))
    }
}

impl From<Option<Uuid>> for Field<'_> {
    fn from(id: Option<Uuid>) -> Self {
        Self::Id(id)
    }
}

impl From<i64> for Field<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Field<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Field<'_> {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

impl From<i16> for Field<'_> {
    fn from(number: i16) -> Self {
        Self::Small(number)
    }
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Field<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Field<'_> {
    fn from(text: String) -> Self {
        Self::Owned(Some(text))
    }
}

impl From<Option<String>> for Field<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Owned(text)
    }
}

impl From<bool> for Field<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(Some(flag))
    }
}

impl From<Option<bool>> for Field<'_> {
    fn from(flag: Option<bool>) -> Self {
        Self::Flag(flag)
    }
}
