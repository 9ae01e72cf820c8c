//! The words for DNS numbers as Suricata's journal has them. Must never know a message.

macro_rules! types {
    ($($name:ident = $number:literal $word:literal,)+) => {
        /// Types of records that are named.
        #[allow(missing_docs, reason = "each is the type that its RFC names so")]
        pub mod rrtype {
            $(pub const $name: u16 = $number;)+
        }
        const TYPES: &[(u16, &str)] = &[$(($number, $word)),+];
    };
}

types! {
    A = 1 "A",
    NS = 2 "NS",
    MD = 3 "MD",
    MF = 4 "MF",
    CNAME = 5 "CNAME",
    SOA = 6 "SOA",
    MB = 7 "MB",
    MG = 8 "MG",
    MR = 9 "MR",
    NULL = 10 "NULL",
    WKS = 11 "WKS",
    PTR = 12 "PTR",
    HINFO = 13 "HINFO",
    MINFO = 14 "MINFO",
    MX = 15 "MX",
    TXT = 16 "TXT",
    RP = 17 "RP",
    AFSDB = 18 "AFSDB",
    X25 = 19 "X25",
    ISDN = 20 "ISDN",
    RT = 21 "RT",
    NSAP = 22 "NSAP",
    NSAPPTR = 23 "NSAPPTR",
    SIG = 24 "SIG",
    KEY = 25 "KEY",
    PX = 26 "PX",
    GPOS = 27 "GPOS",
    AAAA = 28 "AAAA",
    LOC = 29 "LOC",
    NXT = 30 "NXT",
    SRV = 33 "SRV",
    ATMA = 34 "ATMA",
    NAPTR = 35 "NAPTR",
    KX = 36 "KX",
    CERT = 37 "CERT",
    A6 = 38 "A6",
    DNAME = 39 "DNAME",
    OPT = 41 "OPT",
    APL = 42 "APL",
    DS = 43 "DS",
    SSHFP = 44 "SSHFP",
    IPSECKEY = 45 "IPSECKEY",
    RRSIG = 46 "RRSIG",
    NSEC = 47 "NSEC",
    DNSKEY = 48 "DNSKEY",
    DHCID = 49 "DHCID",
    NSEC3 = 50 "NSEC3",
    NSEC3PARAM = 51 "NSEC3PARAM",
    TLSA = 52 "TLSA",
    HIP = 55 "HIP",
    CDS = 59 "CDS",
    CDNSKEY = 60 "CDNSKEY",
    SVCB = 64 "SVCB",
    HTTPS = 65 "HTTPS",
    SPF = 99 "SPF",
    TKEY = 249 "TKEY",
    TSIG = 250 "TSIG",
    IXFR = 251 "IXFR",
    AXFR = 252 "AXFR",
    MAILA = 254 "MAILA",
    ANY = 255 "ANY",
    URI = 256 "URI",
    CAA = 257 "CAA",
}

const RCODES: &[&str] = &[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE",
];

/// The word for a type of record; `None` for one without: the journal prints its number.
pub fn type_name(number: u16) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&number, |row| row.0).ok()?;
    TYPES.get(at).map(|row| row.1)
}

/// The word for a response code; `None` for one without: the journal prints its number.
pub fn rcode_name(number: u16) -> Option<&'static str> {
    let known = |names: &[&'static str], first: u16| {
        names.get(usize::from(number.checked_sub(first)?)).copied()
    };
    known(RCODES, 0).or_else(|| known(EXTENDED_RCODES, 16))
}

/// From 16 on: they take the bits that EDNS adds.
const EXTENDED_RCODES: &[&str] =
    &["BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE"];

#[cfg(test)]
mod tests {
    use super::{TYPES, rcode_name, type_name};

    #[test]
    fn words_are_found() {
        assert!(TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(
            (type_name(28), type_name(65), type_name(1234)),
            (Some("AAAA"), Some("HTTPS"), None)
        );
        assert_eq!((rcode_name(3), rcode_name(15)), (Some("NXDOMAIN"), None));
        let extended = [16, 23, 24].map(rcode_name);
        assert_eq!(extended, [Some("BADVERS"), Some("BADCOOKIE"), None]);
    }
}
