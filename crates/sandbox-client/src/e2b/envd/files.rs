//! Files in a machine.

use std::{path::Path, time::Duration};

use meterbox_http_client::deadline_after;
use reqwest::{Body, Method, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt, time::Instant};
use tokio_util::io::{InspectReader, ReaderStream};

use crate::e2b::{
    E2bClient, E2bError,
    address::ENVD,
    control::{SandboxAccess, built},
    transport::Reply,
};

/// What a write says beyond yes.
const MAX_REPLY_BYTES: u64 = 1 << 20;

/// A file, folder or link in a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its last part.
    pub name: String,
    /// All of it.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    /// Where it leads, if it is a link.
    pub link_target: Option<String>,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Something else.
    Other,
}

impl E2bClient {
    /// Writes these bytes to a file in the machine, as this user; folders above it are made.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn write_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<(), E2bError> {
        self.upload(sandbox, path, user, Body::from(bytes.into()), self.deadline())
            .await
    }

    /// Copies a file of this machine into the sandbox, piece by piece.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn upload_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        from: &Path,
        within: Duration,
    ) -> Result<(), E2bError> {
        self.upload_seen(sandbox, path, user, from, within, |_| {}).await
    }

    /// The same, and each piece is seen as it goes.
    pub(in crate::e2b) async fn upload_seen(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        from: &Path,
        within: Duration,
        seen: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Result<(), E2bError> {
        let file = tokio::fs::File::open(from)
            .await
            .map_err(|error| local(from, error))?;
        let body = Body::wrap_stream(ReaderStream::new(InspectReader::new(file, seen)));
        self.upload(sandbox, path, user, body, deadline_after(within))
            .await
    }

    async fn upload(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        body: Body,
        deadline: Instant,
    ) -> Result<(), E2bError> {
        let request = self
            .data_plane(Method::POST, sandbox, ENVD, "/files")?
            .query(&[("path", path), ("username", user)])
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        let reply = self
            .transport
            .send("writing a file", built(request)?, deadline)
            .await?;
        reply.ok().await?.bytes(MAX_REPLY_BYTES).await.map(drop)
    }

    /// A file of the machine, if it is no more than so many bytes.
    ///
    /// # Errors
    /// [`E2bError::TooLarge`], with the rest left unread; others.
    pub async fn read_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        limit: u64,
    ) -> Result<Vec<u8>, E2bError> {
        self.download(sandbox, path, user, self.deadline())
            .await?
            .bytes(limit)
            .await
    }

    /// Copies a file of the machine to a new file of this one, if it is no more than so many bytes: how many it has.
    /// With an error nothing is left.
    ///
    /// # Errors
    /// [`E2bError::TooLarge`]; others.
    pub async fn download_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        to: &Path,
        limit: u64,
    ) -> Result<u64, E2bError> {
        let mut reply = self.download(sandbox, path, user, self.deadline()).await?;
        let mut file = tokio::fs::File::create_new(to)
            .await
            .map_err(|error| local(to, error))?;
        let copied = async {
            let mut bytes = 0;
            while let Some(chunk) = reply.chunk().await? {
                bytes += chunk.as_ref().len() as u64;
                if bytes > limit {
                    return Err(E2bError::TooLarge {
                        what: "the file",
                        limit,
                    });
                }
                file.write_all(chunk.as_ref())
                    .await
                    .map_err(|error| local(to, error))?;
            }
            file.flush().await.map_err(|error| local(to, error))?;
            Ok(bytes)
        };
        let copied = copied.await;
        if copied.is_err() {
            drop(file);
            // What is half there is of no use; that it is gone already is no fault.
            let _ = tokio::fs::remove_file(to).await;
        }
        copied
    }

    async fn download(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        deadline: Instant,
    ) -> Result<Reply, E2bError> {
        let request = self
            .data_plane(Method::GET, sandbox, ENVD, "/files")?
            .query(&[("path", path), ("username", user)]);
        let reply = self
            .transport
            .send("reading a file", built(request)?, deadline)
            .await?;
        reply.ok().await
    }

    /// What is in a folder of the machine.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn list_folder(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
    ) -> Result<Vec<FileEntry>, E2bError> {
        #[derive(Serialize)]
        struct ListDir<'a> {
            path: &'a str,
            depth: u32,
        }
        #[derive(Deserialize)]
        struct Listed {
            #[serde(default)]
            entries: Vec<Entry>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            #[serde(default)]
            name: String,
            #[serde(default)]
            path: String,
            #[serde(default, rename = "type")]
            kind: String,
            // A number of 64 bits is a text in JSON.
            #[serde(default)]
            size: String,
            symlink_target: Option<String>,
        }
        let request = ListDir { path, depth: 1 };
        let listed: Listed = self
            .unary(sandbox, "filesystem.Filesystem/ListDir", Some(user), &request)
            .await?;
        let entries = listed.entries.into_iter().map(|entry| FileEntry {
            kind: match entry.kind.as_str() {
                "FILE_TYPE_FILE" => FileKind::File,
                "FILE_TYPE_DIRECTORY" => FileKind::Folder,
                _ => FileKind::Other,
            },
            // Zero is left out.
            size: entry.size.parse().unwrap_or_default(),
            name: entry.name,
            path: entry.path,
            link_target: entry.symlink_target,
        });
        Ok(entries.collect())
    }
}

fn local(path: &Path, source: std::io::Error) -> E2bError {
    E2bError::LocalFile {
        path: path.display().to_string(),
        source,
    }
}
