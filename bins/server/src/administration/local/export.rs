//! The ledger written out, a piece at a time.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use meterbox_budget_engine::{Export as Rows, ExportFormat, RowWriter};

use crate::administration::{AdminError, Export};

/// A ledger read page by page.
pub(super) struct LocalExport {
    rows: Rows,
    writer: Option<RowWriter<Piece>>,
    piece: Piece,
}

impl LocalExport {
    pub(super) fn new(rows: Rows, format: ExportFormat) -> io::Result<Self> {
        let piece = Piece::default();
        Ok(Self {
            rows,
            writer: Some(RowWriter::new(format, piece.clone())?),
            piece,
        })
    }
}

/// What was written since it was last taken.
#[derive(Debug, Clone, Default)]
struct Piece(Arc<Mutex<Vec<u8>>>);

impl io::Write for Piece {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Piece {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Export for LocalExport {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, AdminError> {
        // A page may have no row in the range.
        while let Some(writer) = &mut self.writer {
            match self.rows.next_page().await? {
                Some(rows) => rows.iter().try_for_each(|row| writer.write(row))?,
                None => {
                    if let Some(writer) = self.writer.take() {
                        writer.finish()?;
                    }
                }
            }
            let piece = self.piece.take();
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}
