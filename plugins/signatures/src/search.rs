//! Looking for bytes in bytes, with little to pay per byte in WebAssembly: sixteen at a time for
//! the needle's rarest byte, then its next rarest, then a comparison.

/// The first place from which `needle` stands in `hay`. A needle for any case must be lower case.
pub(crate) fn find(hay: &[u8], needle: &[u8], nocase: bool) -> Option<usize> {
    let last = hay.len().checked_sub(needle.len())?;
    let ((anchor, rare), (beside, second)) = anchors(needle)?;
    let fold = if nocase && second.is_ascii_alphabetic() { 0x20 } else { 0 };
    // The anchor of a match lies within these.
    let field = hay.get(anchor..=last + anchor)?;
    let seconds = hay.get(beside..=last + beside)?;
    let mut from = 0;
    while let Some(at) = next(field.get(from..)?, rare, nocase) {
        let start = from + at;
        if seconds.get(start)? | fold == second
            && equal(hay.get(start..start + needle.len())?, needle, nocase)
        {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// The two rarest bytes of a needle and where they are; twice the same where it has only one.
fn anchors(needle: &[u8]) -> Option<((usize, u8), (usize, u8))> {
    let mut rarest = (0, *needle.first()?);
    let (mut second, mut common) = (rarest, [COMMONNESS[usize::from(rarest.1)], u8::MAX]);
    for (at, &byte) in needle.iter().enumerate().skip(1) {
        let new = COMMONNESS[usize::from(byte)];
        if new < common[0] {
            (second, rarest, common) = (rarest, (at, byte), [new, common[0]]);
        } else if new < common[1] {
            (second, common[1]) = ((at, byte), new);
        }
    }
    Some((rarest, second))
}

/// Whether they are the same.
pub(crate) fn equal(a: &[u8], b: &[u8], nocase: bool) -> bool {
    if nocase { a.eq_ignore_ascii_case(b) } else { a == b }
}

fn next(hay: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    if nocase && byte.is_ascii_alphabetic() {
        memchr::memchr2(byte.to_ascii_lowercase(), byte.to_ascii_uppercase(), hay)
    } else {
        memchr::memchr(byte, hay)
    }
}

/// How often a byte is met in traffic, roughly.
const COMMONNESS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        table[byte as usize] = commonness(byte);
        byte -= 1;
    }
    table[0] = commonness(0);
    table
};

const fn commonness(byte: u8) -> u8 {
    match byte {
        0 | b' ' | b'e' | b't' | b'a' | b'o' | b'n' | b'i' | b's' | b'r' => 9,
        b'\r' | b'\n' | b'/' | b'.' | b'-' | b'=' | b'0' | b'1' | 0xff => 7,
        b'a'..=b'z' => 6,
        b'A'..=b'Z' | b'2'..=b'9' => 5,
        b'!'..=b'~' => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_first_place_is_found() {
        let hay = b"GET /index.html HTTP/1.1\r\nHost: a.example\r\n\r\n";
        for len in 1..=hay.len() {
            for start in 0..=hay.len() - len {
                let needle = &hay[start..start + len];
                let first = hay.windows(len).position(|w| w == needle);
                assert_eq!(find(hay, needle, false), first);
                let lower = needle.to_ascii_lowercase();
                let any = hay.windows(len).position(|w| w.eq_ignore_ascii_case(needle));
                assert_eq!(find(hay, &lower, true), any);
            }
        }
        assert_eq!(find(hay, b"nothing of it", false), None);
        assert_eq!(find(b"ab", b"abc", false), None);
        assert_eq!(find(b"{[", b"[", true), Some(1), "only letters have two cases");
    }
}
