//! Names in DNS messages: labels and compression pointers (RFC 1035 section 4.1.4), bounded. Must
//! never know a record.

/// Labels and pointers of one name.
const STEPS_MAX: usize = 255;
/// Bytes of one name with its dots; the standard allows 255.
const NAME_MAX: usize = 1025;
/// Bytes of all names of one message: pointers let 64 KiB unfold to much more.
const NAMES_MAX: usize = 256 << 10;
/// Type of the record of EDNS.
pub(super) const OPT: u16 = 41;

/// What is odd about the names of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flaws {
    /// A pointer pointed at itself.
    pub endless: bool,
    /// More than 255 labels and pointers.
    pub labels: bool,
    /// More than 1,025 bytes; the rest was left out.
    pub long: bool,
}

/// Reads the names of one message.
pub(super) struct Names<'a> {
    pub(super) message: &'a [u8],
    pub(super) flaws: Flaws,
    unfolded: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, flaws: Flaws::default(), unfolded: 0 }
    }

    /// Whether so much was unfolded that reading should end.
    pub(super) fn is_spent(&self) -> bool {
        self.unfolded >= NAMES_MAX
    }

    /// The name at an offset, and the offset behind it; `None` where it is malformed.
    pub(super) fn read(&mut self, start: usize) -> Option<(Vec<u8>, usize)> {
        let mut name = Vec::new();
        let (mut at, mut behind) = (start, None::<usize>);
        for step in 0.. {
            if step > STEPS_MAX {
                self.flaws.labels = true;
                behind?;
                break;
            }
            let Some(&lead) = self.message.get(at) else { break };
            match lead {
                0 => {
                    at += 1;
                    break;
                }
                1..0x40 => {
                    let next = at + 1 + usize::from(lead);
                    self.label(self.message.get(at + 1..next)?, &mut name);
                    at = next;
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1)?;
                    let target = usize::from(u16::from_be_bytes([lead & 0x3f, low]));
                    behind.get_or_insert(at + 2);
                    if target == at {
                        self.flaws.endless = true;
                        break;
                    }
                    if target > self.message.len() {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
        }
        self.unfolded += name.len();
        Some((name, behind.unwrap_or(at)))
    }

    fn label(&mut self, label: &[u8], name: &mut Vec<u8>) {
        if name.len() >= NAME_MAX {
            self.flaws.long = true;
            return;
        }
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(label);
        if name.len() > NAME_MAX {
            name.truncate(NAME_MAX);
            self.flaws.long = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_unfold() {
        let message = b"\x03www\x07example\x00\x01a\xc0\x04\xc0\x0e";
        let mut names = Names::new(message);
        assert_eq!(names.read(0), Some((b"www.example".to_vec(), 13)));
        assert_eq!(names.read(13), Some((b"a.example".to_vec(), 17)));
        assert_eq!(names.read(17), None, "it points into a label, at a byte that begins none");
        assert_eq!(names.read(99), Some((Vec::new(), 99)), "behind the end there is the root");
    }

    #[test]
    fn loops_end() {
        let mut own = Names::new(b"\xc0\x00");
        assert_eq!(own.read(0), Some((Vec::new(), 2)));
        assert!(own.flaws.endless);
        let mut two = Names::new(b"\x01a\xc0\x00");
        let (name, behind) = two.read(0).expect("the end is known");
        assert!(two.flaws.labels && behind == 4 && name.len() < 300);
    }

    #[test]
    fn long_names_are_cut() {
        let mut message = Vec::new();
        for _ in 0..40 {
            message.push(63);
            message.extend_from_slice(&[b'x'; 63]);
        }
        message.push(0);
        let mut names = Names::new(&message);
        let (name, behind) = names.read(0).expect("it is a name");
        assert!(names.flaws.long && name.len() == 1025 && behind == message.len());
    }
}
