//! Text of guests, made safe to print.

use portcullis_plugin_abi::TEXT_MAX;

/// At most [`TEXT_MAX`] bytes of printable text: control characters, and those that turn or hide
/// text on a terminal, become dots.
pub(crate) fn printable(bytes: &[u8]) -> Box<str> {
    let bytes = bytes.get(..bytes.len().min(TEXT_MAX)).unwrap_or(bytes);
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        let c = if harmless(c) { c } else { '.' };
        if out.len() + c.len_utf8() > TEXT_MAX {
            break;
        }
        out.push(c);
    }
    out.into_boxed_str()
}

fn harmless(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor() {
        assert_eq!(&*printable(b"a\x1b[2Jb\nc\0\xff"), "a.[2Jb.c.\u{fffd}");
        assert_eq!(&*printable("x\u{202e}y".as_bytes()), "x.y");
        assert!(printable(&[0xff; 300]).len() <= TEXT_MAX);
    }
}
