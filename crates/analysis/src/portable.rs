//! The tables in a form that programs elsewhere can read, whatever their Python has.

use std::{collections::BTreeMap, sync::Arc};

use meterbox_budget_engine::Hold;
use meterbox_core::contract::Failure;
use meterbox_datasets::{PortableFiles, TypedDataset};
use meterbox_sandbox_client::{Job, Limits, PortableTable, Program};

use crate::{
    failure::{self, cancelled, reply_of},
    paid_run::Run,
    pipeline::{Analysis, input_files},
};

impl Analysis {
    /// Is there a run to plan for it?
    pub(crate) fn needs_portable_tables(&self) -> bool {
        self.price.are_elsewhere() && self.request.dataset.portable().is_none()
    }

    /// The tables as CSV where programs run elsewhere; written now, in the sandbox here, if this version of the
    /// dataset never was. Nowhere is it an error that they cannot be: a program whose Python reads Parquet does not
    /// miss them, and the other sandbox says so where one does.
    pub(crate) async fn portable_tables(
        &mut self,
        hold: &Hold,
        data: &TypedDataset,
    ) -> Result<BTreeMap<String, PortableTable>, Failure> {
        if !self.price.are_elsewhere() {
            return Ok(BTreeMap::new());
        }
        let files = match self.written_once(hold, data).await {
            Ok(files) => files,
            Err(_) if self.cancel.is_cancelled() => return Err(cancelled()),
            Err(failure) => {
                let told = format!("the tables could not be written as CSV: {}", failure.message);
                self.result.warnings.push(told);
                return Ok(BTreeMap::new());
            }
        };
        let tables = files
            .into_iter()
            .map(|(name, PortableFiles { csv, types })| (name, PortableTable { csv, types }));
        Ok(tables.collect())
    }

    /// One at a time, as imports: whoever waited pays nothing.
    async fn written_once(
        &mut self,
        hold: &Hold,
        data: &TypedDataset,
    ) -> Result<BTreeMap<String, PortableFiles>, Failure> {
        let _turn = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(cancelled()),
            turn = Arc::clone(&self.parts.imports).lock_owned() => turn,
        };
        if let Some(files) = self.request.dataset.portable() {
            return Ok(files);
        }
        let catalog = &self.parts.catalog;
        let wanted = catalog.portable_request(data);
        let folder = catalog
            .scratch_folder()
            .map_err(|error| failure::bad_data(&error))?;
        let program = Program::Service {
            code: wanted.program.to_owned(),
            parameters: wanted.parameters,
        };
        let job = Job {
            inputs: input_files(wanted.inputs),
            limits: Limits::for_import(),
            artifacts_into: Some(folder.path().to_owned()),
            ..Job::new(program)
        };
        let (outcome, limits) = self.run_in_sandbox(hold, Run::Portable, job).await?;
        reply_of(&outcome, &limits)?;
        let left = outcome.artifacts.into_iter();
        let left: Vec<_> = left.map(|artifact| (artifact.name, artifact.path)).collect();
        self.parts
            .catalog
            .record_portable(&self.request.dataset, &left)
            .map_err(|error| failure::bad_data(&error))
    }
}
