//! The resolver of `Polling`'s example, on a file that is edited while it runs.

use std::env::temp_dir;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use highball_core::Status;
use highball_resolver::{Lookup, Polling, Resolution, Target};

use crate::line::{Line, addresses};

struct AddressFile;

impl Lookup for AddressFile {
    fn scheme(&self) -> &str {
        "file"
    }

    async fn lookup(&self, target: &Target) -> Result<Resolution, Status> {
        match tokio::fs::read_to_string(target.path()).await {
            Ok(text) => Ok(text.lines().collect()),
            Err(error) => Err(Status::unavailable(format!("{target}: {error}"))),
        }
    }
}

/// A file that is gone when the test is.
struct Servers(PathBuf);

impl Servers {
    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_picked_up_within_the_interval() {
    let servers = Servers(temp_dir().join(format!("highball-servers-{}", process::id())));
    servers.write("a:1\nb:2\n");
    let polling = Polling::new(AddressFile).every(Duration::from_secs(1));
    let mut line = Line::new(polling, &format!("file://{}", servers.0.display()));
    assert_eq!(addresses(&line.accept().await), ["a:1", "b:2"]);
    line.quiet(60.5).await;

    servers.write("c:3\n");
    assert_eq!(addresses(&line.accept().await), ["c:3"]);
    assert_eq!(line.now(), 61.0);

    fs::remove_file(&servers.0).unwrap();
    let error = line.error().await;
    assert!(error.starts_with("UNAVAILABLE: file://"), "{error}");
    servers.write("d:4\n");
    assert_eq!(addresses(&line.accept().await), ["d:4"]);
    assert_eq!(line.now(), 63.0);
    line.hang_up().await;
}
