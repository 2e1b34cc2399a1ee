use meterbox_access::Act;
use meterbox_core::contract::PrivacyLevel;
use meterbox_datasets::{Catalog, Dataset};
use serde_json::json;

use super::Local;
use crate::administration::AdminError;

impl Local {
    /// Says what of a dataset may leave this machine.
    pub(crate) async fn set_privacy(
        &self,
        catalog: &Catalog,
        dataset: &Dataset,
        level: PrivacyLevel,
    ) -> Result<(), AdminError> {
        let act = Act {
            name: "dataset.privacy",
            target: format!("{} {}", dataset.name(), dataset.version()),
            before: Some(json!(dataset.privacy())),
            after: Some(json!(level)),
        };
        let (catalog, dataset) = (catalog.clone(), dataset.clone());
        self.audited(act, async move { catalog.set_privacy(&dataset, level) })
            .await
    }
}
