//! Whatever bytes come, reading ends, panics nowhere, and takes or refuses each rule.

use portcullis_rules_db::fuzz::fuzz_rules;
use proptest::prelude::*;
use proptest::sample::select;

const WORDS: &[&str] = &[
    "alert ",
    "drop ",
    "tcp ",
    "http ",
    "dns ",
    "any ",
    "$HOME_NET ",
    "[80,!81] ",
    "-> ",
    "<> ",
    "(",
    ")",
    "msg:\"x\";",
    "sid:1;",
    "sid:2;",
    "content:\"ab|63|\";",
    "content:!\"x\";",
    "nocase;",
    "depth:3;",
    "offset:1;",
    "distance:-1;",
    "within:9;",
    "fast_pattern;",
    "fast_pattern:0,1;",
    "http.uri;",
    "http_uri;",
    "pkt_data;",
    "file.data;",
    "to_md5;",
    "dotprefix;",
    "startswith;",
    "endswith;",
    "pcre:\"/(?P<flow_a>x)/Ui\";",
    "byte_extract:1,0,v;",
    "byte_test:1,>,v,0;",
    "byte_jump:2,0,relative;",
    "byte_math:bytes 1, offset 0, oper +, rvalue 1, result v;",
    "isdataat:!1,relative;",
    "base64_decode:relative;",
    "base64_data;",
    "bsize:3;",
    "dsize:<4;",
    "flow:to_server;",
    "flowbits:set,a;",
    "flowbits:isset,a|b;",
    "xbits:set,a,track ip_src;",
    "threshold:type limit,track by_src,count 1,seconds 1;",
    "dataset:set,d,type string;",
    "dataset:isset,d,load f;",
    "filemd5:f;",
    "requires:version > 1;",
    "\\\n",
    "\n",
    "#",
    ";",
    ":",
    "\"",
    "!",
    "|",
    "suppress gen_id 1, sig_id 1",
    "config classification: a,b,1",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_rules(&bytes);
    }

    #[test]
    fn rules_almost(words in proptest::collection::vec(select(WORDS), 0..40)) {
        fuzz_rules(words.concat().as_bytes());
    }

    #[test]
    fn options_in_a_rule(words in proptest::collection::vec(select(WORDS), 0..20)) {
        let options = words.concat();
        fuzz_rules(format!("alert tcp any any -> any any ({options} sid:9;)").as_bytes());
    }
}
