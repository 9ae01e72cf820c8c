//! Words, names, markup, script and mail: text that looks as such text does.

use crate::traffic::Sequence;

const WORDS: [&str; 159] = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "be",
    "by", "on", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an",
    "they", "which", "one", "you", "were", "all", "her", "she", "there", "would", "their", "we",
    "him", "been", "has", "when", "who", "will", "no", "more", "if", "out", "so", "said", "what",
    "up", "its", "about", "into", "than", "them", "can", "only", "other", "new", "some", "could",
    "time", "these", "two", "may", "then", "do", "first", "any", "my", "now", "such", "like",
    "our", "over", "man", "me", "even", "most", "made", "after", "also", "did", "many", "before",
    "must", "through", "years", "where", "much", "your", "way", "well", "down", "should",
    "because", "each", "just", "those", "people", "state", "good", "very", "make", "world",
    "still", "own", "see", "men", "work", "long", "here", "get", "both", "between", "life",
    "being", "under", "three", "never", "know", "same", "last", "another", "while", "us", "off",
    "might", "great", "go", "come", "since", "against", "right", "came", "take", "used", "himself",
    "few", "house", "use", "place", "during", "high", "without", "again", "home", "around",
    "small", "however", "found", "report", "invoice", "delivery", "customer",
];
const LABELS: [&str; 48] = [
    "acme", "globex", "initech", "umbra", "hooli", "vehement", "massive", "soylent", "cdn",
    "static", "assets", "media", "api", "login", "mail", "shop", "news", "photos", "video",
    "cloud", "files", "data", "search", "maps", "edge", "images", "fonts", "metrics", "status",
    "docs", "support", "store", "blog", "forum", "wiki", "update", "download", "portal", "team",
    "office", "travel", "health", "sports", "weather", "finance", "music", "garden", "kitchen",
];
const TOPS: [&str; 8] = ["com", "net", "org", "de", "co.uk", "io", "fr", "info"];
const MARKUP: [&str; 30] = [
    "<div class=\"row\"><div class=\"col-md-6\">",
    "</div></div>\n",
    "<p>",
    "</p>\n",
    "<ul>\n",
    "<li><a href=\"/",
    "</a></li>\n",
    "</ul>\n",
    "<span class=\"title\">",
    "</span>",
    "<h2>",
    "</h2>\n",
    "<img src=\"/images/",
    ".jpg\" alt=\"\" width=\"320\" height=\"200\">\n",
    "<script type=\"text/javascript\" src=\"/js/",
    ".js\"></script>\n",
    "<table><tr><td>",
    "</td></tr></table>\n",
    "<form action=\"/search\" method=\"get\">",
    "</form>\n",
    "<input type=\"text\" name=\"q\" value=\"\">",
    "<!-- ",
    " -->\n",
    "<br/>",
    "&nbsp;&raquo; ",
    "<link rel=\"stylesheet\" href=\"/css/",
    ".css\">\n",
    "<meta name=\"description\" content=\"",
    "\">\n",
    "<section id=\"",
];
const SCRIPT: [&str; 40] = [
    "function(){",
    "var ",
    "return ",
    "this.",
    ".prototype.",
    "document.getElementById(",
    "window.",
    "if(",
    "){",
    "};\n",
    "else{",
    "for(var i=0;i<",
    ".length;i++){",
    "null",
    "!==",
    "===",
    "&&",
    "||",
    "typeof ",
    "undefined",
    "new Date()",
    ".push(",
    ".slice(",
    "Math.floor(",
    "parseInt(",
    "setTimeout(",
    "addEventListener(\"click\",",
    "console.log(",
    "JSON.stringify(",
    "$(this)",
    ".attr(\"href\")",
    "jQuery.extend(",
    "throw new Error(",
    "try{",
    "}catch(e){",
    "0",
    "1",
    "true",
    "false",
    "a.b.c",
];
const STYLE: [&str; 16] = [
    "{margin:0 auto;",
    "padding:0 10px;",
    "color:#333;",
    "}\n",
    ".nav li ",
    "font-size:14px;",
    "background:#fff url(/img/bg.png) no-repeat;",
    "display:inline-block;",
    "float:left;",
    "@media (max-width:768px){",
    "border:1px solid #ddd;",
    "a:hover ",
    "#header ",
    "width:100%;",
    "line-height:1.5;",
    "position:absolute;top:0;left:0;",
];

/// Appends about `len` bytes of words.
pub(super) fn words(sequence: &mut Sequence, len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    while out.len() < end {
        // The smaller of two draws: some words are frequent.
        let count = WORDS.len() as u64;
        let at = sequence.below(count).min(sequence.below(count)) as usize;
        out.extend(WORDS[at].bytes());
        out.push(if sequence.happens(8) { b'.' } else { b' ' });
    }
}

/// A name of a host.
pub(super) fn host(sequence: &mut Sequence) -> String {
    let (a, b, top) = (sequence.pick(&LABELS), sequence.pick(&LABELS), sequence.pick(&TOPS));
    match sequence.below(3) {
        0 => format!("www.{a}{b}.{top}"),
        1 => format!("{a}.{b}.{top}"),
        _ => format!("{a}{}.{b}.{top}", sequence.below(100)),
    }
}

/// A path without its first slash.
pub(super) fn path(sequence: &mut Sequence) -> String {
    let mut path = String::new();
    for _ in 0..sequence.below(3) {
        path += sequence.pick(&LABELS);
        path.push('/');
    }
    path + sequence.pick(&WORDS)
}

/// A word or a label.
pub(super) fn word(sequence: &mut Sequence) -> &'static str {
    sequence.pick(&WORDS)
}

/// A page of about `len` bytes.
pub(super) fn page(sequence: &mut Sequence, len: usize) -> Vec<u8> {
    let mut out = b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>".to_vec();
    words(sequence, 30, &mut out);
    out.extend(b"</title>\n</head>\n<body>\n");
    while out.len() < len {
        out.extend(sequence.pick(&MARKUP).bytes());
        let run = 10 + sequence.below(90) as usize;
        words(sequence, run, &mut out);
        if sequence.happens(4) {
            out.extend(b"<script>");
            script(sequence, 300, &mut out);
            out.extend(b"</script>\n");
        }
    }
    out.extend(b"</body>\n</html>\n");
    out
}

/// Appends about `len` bytes of script.
pub(super) fn script(sequence: &mut Sequence, len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    while out.len() < end {
        out.extend(sequence.pick(&SCRIPT).bytes());
        out.extend(sequence.pick(&LABELS).bytes());
        if sequence.happens(10) {
            out.extend(b";\n");
        }
    }
}

/// A sheet of style of about `len` bytes.
pub(super) fn style(sequence: &mut Sequence, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        out.extend(sequence.pick(&STYLE).bytes());
    }
    out
}

/// An answer of an interface of about `len` bytes.
pub(super) fn json(sequence: &mut Sequence, len: usize) -> Vec<u8> {
    let mut out = b"{\"items\":[".to_vec();
    while out.len() < len {
        let (id, name) = (sequence.below(1_000_000), sequence.pick(&LABELS));
        out.extend(format!("{{\"id\":{id},\"name\":\"{name}\",\"text\":\"").bytes());
        words(sequence, 40, &mut out);
        out.extend(b"\",\"enabled\":true,\"tags\":[\"a\",\"b\"]},");
    }
    out.extend(b"{}]}");
    out
}

/// Appends `bytes` in base 64 (RFC 2045), lines of 76.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for line in bytes.chunks(57) {
        for three in line.chunks(3) {
            let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
            let group = byte(0) << 16 | byte(1) << 8 | byte(2);
            for n in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * n)) as usize & 63];
                out.push(if n <= three.len() { digit } else { b'=' });
            }
        }
        out.extend(b"\r\n");
    }
}
