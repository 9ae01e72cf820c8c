//! Reads a WebAssembly file's outline without running or compiling any of it.
//!
//! ```text
//! \0asm | version u16 | layer u16 | section*      section: id u8 | length LEB128 | bytes
//! ```
//!
//! It finds the manifest, sees whether there is a start function, and tells a component from a core
//! module. The compiler validates the rest.

use crate::LoadError;
use portcullis_plugin_abi::MANIFEST_SECTION;

const CUSTOM: u8 = 0;
const START: u8 = 8;

/// What the outline says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline<'a> {
    pub(crate) manifest: &'a [u8],
}

/// Reads the outline; refuses what can be refused without compiling.
pub(crate) fn outline(wasm: &[u8]) -> Result<Outline<'_>, LoadError> {
    let mut rest = wasm.strip_prefix(b"\0asm").ok_or(LoadError::NotWasm)?;
    match rest.split_first_chunk::<4>() {
        Some(([1, 0, 0, 0], behind)) => rest = behind,
        Some(([_, _, 1, 0], _)) => return Err(LoadError::Component),
        _ => return Err(LoadError::NotWasm),
    }
    let mut manifest = None;
    while let Some((&id, behind)) = rest.split_first() {
        let (len, behind) = leb128(behind).ok_or(LoadError::Cut)?;
        let (body, behind) = behind.split_at_checked(len as usize).ok_or(LoadError::Cut)?;
        rest = behind;
        match id {
            START => return Err(LoadError::StartFunction),
            CUSTOM => {
                let Some((name, content)) = named(body) else { continue };
                if name == MANIFEST_SECTION.as_bytes() && manifest.replace(content).is_some() {
                    return Err(LoadError::ManifestTwice);
                }
            }
            _ => {}
        }
    }
    manifest.map(|manifest| Outline { manifest }).ok_or(LoadError::ManifestMissing)
}

fn named(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = leb128(body)?;
    rest.split_at_checked(len as usize)
}

fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (i, &b) in bytes.iter().enumerate().take(5) {
        value |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut wasm = b"\0asm\x01\0\0\0".to_vec();
            wasm.extend(tail);
            let _ = outline(&wasm);
        }
    }

    #[test]
    fn tells_what_it_is() {
        assert!(matches!(outline(b"MZ"), Err(LoadError::NotWasm)));
        assert!(matches!(outline(b"\0asm\x0d\0\x01\0"), Err(LoadError::Component)));
        assert!(matches!(outline(b"\0asm\x01\0\0\0"), Err(LoadError::ManifestMissing)));
        assert!(matches!(outline(b"\0asm\x01\0\0\0\x00\x7f"), Err(LoadError::Cut)));
    }
}
