//! How rare bytes are in traffic: the table by which a literal's window is chosen.
//!
//! Counted over captures of HTTP, TLS, DNS, SMTP, SMB and others, headers included, no capture
//! counting for more than a small share. It must never know of literals or groups; a wrong figure
//! costs speed, never a hit.

/// Bytes that have a class of their own, in the order of the table; letters stand for both cases
/// and `0` for every digit.
const SINGLES: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyz0 .-_/=&?%:;,\r\n\"'<>()+*@!#$[]{}|~^\\`";

/// The classes after the single ones: zero, other control bytes, `0xff`, and the rest.
const ZERO: u8 = 62;
const CONTROL: u8 = 63;
const ONES: u8 = 64;
const HIGH: u8 = 65;
const CLASSES: usize = 66;

/// Row: class of the first byte; column: class of the second. `a` is 5 bits of surprise or less
/// and each letter after it one bit more, for one given pair of bytes.
const PAIRS: [&[u8; CLASSES]; CLASSES] = [
    b"dgfgghgihihfggjgifgfhiiiiiihjilikmlkklkjkklljlkkmklmmlmlmmmlmlglll",
    b"hfhhghiihiihijhiiiiihjijijiikljklmlllklkjkklllkklhkklllllmlkllfkll",
    b"fhghgiighjhhhiehjhgghiiiijijjijjklllklkkkkllllkjljllmlmllllllkglll",
    b"ghhhfhhigjjiiihiihiiijjjijigjjjjillkjkkjijllklljlklkjlkllmmlhlfkkl",
    b"ghfgggiihiighfigidfdihighiifhhiiillkhjihjhkkjjjjlkkmlllklkmllkdkkl",
    b"hihhggijgjjijigijhjhiijjijiijjkkillkkklkklkllklklklllllmllllllekkl",
    b"hiiigiihhjjiiihijiihhijjjikiikkjkllkilljkljlklljlkllmmmlmmllllhlll",
    b"gjjigijghjjiiigijhigiijjjjjiijkkklljjllkjllllkljkklljiimlmmmmkgkll",
    b"higgghhiiiighefhihggjhiiiikikkkjklllllkkklllillklkllilklllllmlflkl",
    b"ijiiijjjiiijjjiiijijijjjjjkllmlkllmllllkkllmllkkljlllkkmlmlllmglll",
    b"iijjgiijhjiijjjijjiijjjjjjjjkjlkkmllklkikkllllkklkmllmkllllllmhlll",
    b"giihfiijfijgiigijihhhjjiiijijjkjkllljjikkklljklkljllkliklmmmllgkll",
    b"ghihgjijhjjhhihhjjhiijjiiikikjlikmmljkijklllklkklilllkllllkkllhkll",
    b"higgeigigiiijhghjigehijjijjgiijijllkhkkkjkklkjlklklmlllllllkllglll",
    b"hhggihhjijhhgehgjfgghihiiikhjjkilmllkklkkllllllkmkklklllmmlllmglll",
    b"gjhhejiihjihiihhigihhhjiiikiihjhlmkkhjjkjlklklljljlljjlkmlmkikfikl",
    b"ijjjjjijijjijjjjiiijhjjjjjkklmlkjlmlklmkkllllllklkllmmllmlmlllhlll",
    b"giihfehigjihhhgijhgghhjjhikhihjikllliljkkkklkljklkmkilmllmmlmmgkkl",
    b"gjgifiiggjiihihhiigfhiijhjjgiijiikljhkjjjjkkkljjljmljllllmmllmhlll",
    b"giiieiigfiiihigejghghiiigjkfigiiillkgjjhjikkkjkklklllkllllllklflkl",
    b"ihiigjijijjhhhjhihghgjjijjkkjkljllllllkkkklllllkljlllmmlmlmmlihkll",
    b"gijjgjjjhijiijjijjjjiiijjjkjllljklllkllkklllkjmkjkllllllllllllhlkl",
    b"hijjhjjihjjjjiiijiijjjhjiikjiklkllmlllllklllmlmklkllkllmmlllllhlkl",
    b"ijijijjjijjjiiiijjihjjjfijjikiljllllkkljkllllllklklllmmlllmllmgkjl",
    b"ijijijjjjjjiijigjiiiijiiijjhijkjkmmljllkkklljklklkllllllllljllhlll",
    b"iijjijjjhjjjjjijjjijjjjijhkklllkmlllllmkkllmmmmkmkmlmlmlllllkmglll",
    b"iiiiiijjkkkjkkkjkkkjkjkkkkiiijkkllmkjljikkmlmlkkmkmmlmmmmmmmmmhllm",
    b"ghghhgiggjiihhhhkhggiihjkkieijkiikkmjmmlkikilgikikjkjkkijkmmlkfkkl",
    b"ijgjijjjjkljjiijljjikkjkliiignljmmmlnnmkjmmlnkmmmknnnmmmmnnmmmhmmm",
    b"hjhiijjiilliijjjljhhjjjklljjkgmlknmmnnmllnnnlkmmmlnnnmmmnnmmmmimmm",
    b"jkjjkkikillkjjljljjikkkllllmknjnmmnmmmmjlmmnmmmkmlnnmlnmnnmllmimmm",
    b"iiiijjjijjkijjjikiiijjijkijjklmgmlmkmmmkkkllkmmlklillmmnmmmmmmimmm",
    b"lkkllklkllllkllkllkkkllkmlkimlmlgmmlmmmjlhimlnmnnkmmmmmmmmnlmnimmm",
    b"killllllllllmllklllkllmmlmmkmnnnmklmmnnmmmknmnnmnlnnnmnnmnnnnnjmmm",
    b"llllllllllmllllkllllkmmllllkmmnklmmmmmnnlmnmlnlnnlmmnnlnmnmlmniklm",
    b"lllmlmmlllmlmlllmmlmlmlmlmjlmmnnmkmmnlnmllmmmnmnmkmminmnmmnlmnimmm",
    b"kjkikllkkllkkjljlkjkkklklmjfmlnhmnmmklmmlhnlmmmmnknkmlnlnmmmmmimjm",
    b"ljkkklllmmljkllkjllkkllmmmmhmmmmnnmnnmnkhlmlmmmnmknnnnnmmmnknmjmnm",
    b"gglkklljlllllkmkmlklklmllllgjklmmmnmmnmljimnmnmnlkmmmlnnnnmmmngklm",
    b"mlmlmlmmklmklmmilillilllmlmmmnknmmnmlmnkemnnmnmlmknmnmmmnmmnmnfllm",
    b"ikgiijjigkijjjjijjhjiikgikkhljjjlmmiklmhglkilkkiijikhjmmkmlllmejjl",
    b"jjkkjjkjjklkikljlkjjilklklkilmmllmmnhlhjkkmmimkmmlmklmkmimnnknhlmm",
    b"jkllllljlllmlllkmlkkllmmlllimnnjnmmmmmllllmmkklmmlmlnmmmmnnnnjhlkm",
    b"ikkkkklkklljkllklljkljllmmmknmnhlnlnmnmmlmnlmnmlmllmmmmnnllmmmfmmm",
    b"kklklllllklllkllmllkllllllmjmmmmmmlmnmmhhmmhmlmnnlmnmmnlmmmlmmhmlm",
    b"klkljkklkjklkjkkkjkjkkkkllkimlmmlmmmmmnmklkmmkjlmlkllllmmmmmlmglmm",
    b"lkmmmlllljkllllkllklmmmklmmhkmnmmimmlikiiklmmmllkkmmlmllmlnnmnimlm",
    b"jkkkkkkjkkkkkkijjjjjkkkkkklkmmmlmmnmmnklkmnmnmmjnlmnnnmmnmnnlnjlmm",
    b"lmlkllmlllmllmmllmllmlmmmllilmnkmnnnnlnklnnmnnmkklnnmmmmnmmmmnhmmm",
    b"jkjkllllllllllikjlllllllllmkmmnjmmllmmnmllnmnmlmljlmlmklmmnmnldjkm",
    b"llllilmlllmmllmkllllmlllmmmkmlnmlmmnnnnlijmlnmmnmllmlmmnnnnmmnhlmm",
    b"llllkllllmmklllkmlllklmmlkmlmmmnnmnmnnnmlmlmnmmnnlnmkmnnnnmnmnimlm",
    b"mlllkljkjlmlmlllmlllmlmlkmklnnnmmnnkmmmllnnmnkmnnlmmlnmmnmlningklm",
    b"kllllllkillllllllllkllllmllkmnmmmmnmnmmmmkmnnnmnmlnmlllmnmmmlmimmm",
    b"mlilmllmmlllklmlllkmmlllllmilmmmnmnmmlkmllmnmmmmmlmlmmlmlmmmmmjmmm",
    b"mkjlllllllmllllklmmlllllllmkmmnmmlnmmnnliinlmnmnnlnmmmmlkllmmnhmln",
    b"mmlllmlmklmmmlmllmllllllllmkjnnnmmmnnkklimmnnllnnlnmlmmlklknnnjmlm",
    b"lmmmmmmmllllllllmmmmlllkkkmknnnmmnlmnnnnmnmnmkmnmlmmmmnllkllmnhmlm",
    b"mlllmmlkmmmmmmmlmlmmlmlmklmmnnmnnknnnmmmmnnmnnnnllnnnnmlkljnmnjmlm",
    b"jmlllllllklllllkmlllmllkllllnnmmmmmnlnnllmnnmmlnnknmnmmnnmmnmmgmmm",
    b"jlmlmkljkmmkllmkmllllmlmlmmmmninnmnmmnmmmlmmmmmlmknlmmmnnnmnkmhlmm",
    b"lkmllmllllllllljlmlllllllmkmmmmmjmnmmmnllmmmmmmnmkmnjmlnmmmlnmhlmm",
    b"gfgfdfhgfghfgegeiggfhhhfhggfhiiiihgihighfhffhfiihdhhgijhjhighgafei",
    b"kkkkkklkkllllklkllllkkllllljlmmmmmlmlmlkilllmlkllklmlmmmllmmmlfkkm",
    b"lkkkkkkkkkkkllljkkkjjkklklmlmnlhmmmlmmjmlmmmmllmmkmlmlljllkmllfkdl",
    b"llllllllllllllllllllllllllmmmmmmmnmmmmmmlmmmmmmmmlmmmmmmmnmmmmimmn",
];

/// The class of each byte.
const CLASS_OF: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, with constant bounds")]
#[allow(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn classes() -> [u8; 256] {
    let mut table = [HIGH; 256];
    let mut byte = 0;
    while byte < 256 {
        let folded = (byte as u8).to_ascii_lowercase();
        let wanted = if folded.is_ascii_digit() { b'0' } else { folded };
        table[byte] = match wanted {
            0 => ZERO,
            0xff => ONES,
            1..32 | 127 => CONTROL,
            _ => HIGH,
        };
        let mut class = 0;
        while class < SINGLES.len() {
            if SINGLES[class] == wanted {
                table[byte] = class as u8;
            }
            class += 1;
        }
        byte += 1;
    }
    table
}

/// Bits of surprise when `second` follows `first`, from 5 (often seen) to 30.
pub(crate) fn surprise(first: u8, second: u8) -> u32 {
    let class = |byte: u8| CLASS_OF.get(usize::from(byte)).copied().unwrap_or(HIGH);
    let row = PAIRS.get(usize::from(class(first)));
    let letter = row.and_then(|row| row.get(usize::from(class(second)))).copied();
    u32::from(letter.unwrap_or(b'a').saturating_sub(b'a')) + 5
}

/// Bits of surprise of a whole window: the sum over its pairs.
pub(crate) fn surprise_of(window: &[u8]) -> u32 {
    window
        .windows(2)
        .map(|pair| match pair {
            [first, second] => surprise(*first, *second),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_windows_are_less_surprising_than_odd_ones() {
        assert!(surprise_of(b"HTTP") < surprise_of(b"qzxj"));
        assert!(surprise_of(b"the ") < surprise_of(b"=|%~"));
        assert_eq!(surprise_of(b"http"), surprise_of(b"HTTP"));
        assert!(surprise_of(&[0; 4]) < surprise_of(&[0x91, 0xa7, 0xc3, 0xee]));
    }

    #[test]
    fn every_class_has_its_byte() {
        let mut seen = [0u32; CLASSES];
        for byte in 0..=255u8 {
            seen[usize::from(CLASS_OF[usize::from(byte)])] += 1;
        }
        assert!(seen.iter().all(|&bytes| bytes > 0), "{seen:?}");
        assert_eq!(usize::from(HIGH) + 1, CLASSES);
    }
}
