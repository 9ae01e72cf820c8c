//! Writes a capture of mixed traffic, or of TLS in bulk, to a file.
//!
//! `mixed-traffic --to FILE [--mix enterprise|tls-bulk] [--flows N]`; 10,000 flows of the mix are
//! about 150 MB, 25 of TLS in bulk about 115 MB.

use anyhow::{Result, bail, ensure};
use portcullis_bench::{Mix, Options, write_mixed_capture};
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("mixed-traffic.rs"))?;
    let to = options.take("to", PathBuf::new())?;
    let word = options.take("mix", "enterprise".to_owned())?;
    let flows = options.take("flows", 10_000)?;
    options.end()?;
    ensure!(!to.as_os_str().is_empty(), "write --to FILE");
    let mix = match word.as_str() {
        "enterprise" => Mix::Enterprise,
        "tls-bulk" => Mix::TlsBulk,
        _ => bail!("--mix {word}: write enterprise or tls-bulk"),
    };
    write_mixed_capture(&to, mix, flows)?;
    println!("{}: {} bytes", to.display(), std::fs::metadata(&to)?.len());
    Ok(())
}
