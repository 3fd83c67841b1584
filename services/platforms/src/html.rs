//! HTML of a comment turned into the plain text that a reader sees. Total and linear in time: any input gives some text.
//!
//! Line breaks and paragraphs become line breaks, entities are decoded exactly once, and what is never shown (scripts, styles,
//! comments, attributes) is left out. The whole text of a link is kept, also where a client shortens it on screen. The result is text
//! and nothing else: it may well hold `<` and `&`, and whoever shows it must escape it.

/// The plain text of `html`.
#[must_use]
pub fn to_text(html: &str) -> String {
    let mut text = Text::default();
    let mut rest = html;
    while !rest.is_empty() {
        let Some(open) = rest.find('<') else {
            text.push_encoded(rest);
            break;
        };
        text.push_encoded(&rest[..open]);
        rest = &rest[open..];
        let Some((tag, after)) = Tag::read(rest) else {
            text.push_encoded("<");
            rest = &rest[1..];
            continue;
        };
        rest = after;
        match tag {
            Tag::Start { name, attributes } => rest = start(&mut text, &name, attributes, rest),
            Tag::End { name } => end(&mut text, &name),
            Tag::Unseen => {}
        }
    }
    text.out
}

enum Tag<'a> {
    Start {
        name: String,
        attributes: &'a str,
    },
    End {
        name: String,
    },
    /// A comment, a declaration, or a tag that never ends.
    Unseen,
}

impl<'a> Tag<'a> {
    /// Reads the tag at the start of `html`, which is a `<`; none where that is a plain character. Gives what follows it.
    fn read(html: &'a str) -> Option<(Self, &'a str)> {
        if let Some(comment) = html.strip_prefix("<!--") {
            return Some((Self::Unseen, comment.find("-->").map_or("", |end| &comment[end + 3..])));
        }
        if html.starts_with("<!") || html.starts_with("<?") {
            return Some((Self::Unseen, html.find('>').map_or("", |end| &html[end + 1..])));
        }
        let closing = html.starts_with("</");
        let body = &html[if closing { 2 } else { 1 }..];
        if !body.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let name_end = body
            .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
            .unwrap_or(body.len());
        let name = body[..name_end].to_ascii_lowercase();
        let Some(end) = tag_end(&body[name_end..]) else {
            return Some((Self::Unseen, ""));
        };
        let attributes = &body[name_end..name_end + end];
        let after = &body[name_end + end + 1..];
        Some((
            if closing {
                Self::End { name }
            } else {
                Self::Start { name, attributes }
            },
            after,
        ))
    }
}

/// The place of the `>` that ends a tag: one inside quotes does not.
fn tag_end(attributes: &str) -> Option<usize> {
    let mut quote = None;
    let mut after_equals = false;
    for (index, c) in attributes.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if after_equals => quote = Some(c),
            (None, '>') => return Some(index),
            (None, _) => {}
        }
        after_equals = c == '=' || (after_equals && c.is_ascii_whitespace());
    }
    None
}

/// Handles a start tag and gives what is left to read.
fn start<'a>(text: &mut Text, name: &str, attributes: &str, rest: &'a str) -> &'a str {
    match name {
        "script" | "style" | "template" => return skip_element(name, rest),
        "br" => text.line(),
        "img" => {
            if let Some(alternative) = attribute(attributes, "alt") {
                text.push_encoded(alternative);
            }
        }
        "pre" => {
            text.paragraph();
            text.preformatted += 1;
        }
        "p" | "blockquote" | "ul" | "ol" | "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "hr" => text.paragraph(),
        "div" | "li" | "tr" | "section" | "article" | "figure" | "figcaption" | "dt" | "dd" => text.block(),
        "td" | "th" => text.space(),
        _ => {}
    }
    rest
}

fn end(text: &mut Text, name: &str) {
    match name {
        "pre" => {
            text.preformatted = text.preformatted.saturating_sub(1);
            text.paragraph();
        }
        "p" | "blockquote" | "ul" | "ol" | "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => text.paragraph(),
        "div" | "li" | "tr" | "section" | "article" | "figure" | "figcaption" | "dt" | "dd" => text.block(),
        _ => {}
    }
}

/// What follows the end tag of `name`; nothing where there is none.
fn skip_element<'a>(name: &str, rest: &'a str) -> &'a str {
    let bytes = rest.as_bytes();
    let mut from = 0;
    while let Some(found) = rest[from..].find("</") {
        let after = from + found + 2;
        let is_end = bytes
            .get(after..after + name.len())
            .is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()));
        if is_end {
            return rest[after..].find('>').map_or("", |end| &rest[after + end + 1..]);
        }
        from = after;
    }
    ""
}

/// The value of the attribute `name`, still encoded.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let key_end = rest
            .find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/')
            .unwrap_or(rest.len());
        if rest.is_empty() {
            return None;
        }
        let (key, after) = rest.split_at(key_end);
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=').map(str::trim_start) else {
            rest = if key_end == 0 { after.get(1..).unwrap_or("") } else { after };
            continue;
        };
        let (value, next) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

/// Text under construction: white space is held back until something visible follows.
#[derive(Default)]
struct Text {
    out: String,
    newlines: usize,
    space: bool,
    preformatted: usize,
}

impl Text {
    fn line(&mut self) {
        self.newlines = (self.newlines + 1).min(2);
        self.space = false;
    }

    fn block(&mut self) {
        self.newlines = self.newlines.max(1);
        self.space = false;
    }

    fn paragraph(&mut self) {
        self.newlines = 2;
        self.space = false;
    }

    fn space(&mut self) {
        self.space = true;
    }

    fn push(&mut self, c: char) {
        match c {
            '\n' if self.preformatted > 0 => return self.line(),
            '\r' => return,
            ' ' | '\t' if self.preformatted > 0 => {}
            ' ' | '\t' | '\n' | '\x0c' => {
                self.space |= self.newlines == 0;
                return;
            }
            _ => {}
        }
        if !self.out.is_empty() {
            if self.newlines > 0 {
                self.out.extend(std::iter::repeat_n('\n', self.newlines));
            } else if self.space {
                self.out.push(' ');
            }
        }
        self.newlines = 0;
        self.space = false;
        self.out.push(c);
    }

    fn push_encoded(&mut self, encoded: &str) {
        let mut rest = encoded;
        while let Some(found) = rest.find('&') {
            rest[..found].chars().for_each(|c| self.push(c));
            let (c, length) = entity(&rest[found..]).unwrap_or(('&', 1));
            self.push(c);
            rest = &rest[found + length..];
        }
        rest.chars().for_each(|c| self.push(c));
    }
}

/// The character of the entity at the start of `text`, and how many bytes it takes.
fn entity(text: &str) -> Option<(char, usize)> {
    const NAME_BYTES_MAX: usize = 10;
    if let Some(number) = text.strip_prefix("&#") {
        let (radix, digits, skipped) = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => (16, hexadecimal, 3),
            None => (10, number, 2),
        };
        let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        if length == 0 {
            return None;
        }
        let code = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
        let semicolon = usize::from(digits[length..].starts_with(';'));
        return Some((numbered(code), skipped + length + semicolon));
    }
    let end = text.bytes().take(NAME_BYTES_MAX).position(|byte| byte == b';')?;
    let name = &text[1..end];
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| (*c, end + 1))
}

/// The character of a numeric reference, as browsers read it: 0x80..0x9F mean Windows-1252, what is no character is U+FFFD.
fn numbered(code: u32) -> char {
    const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    match code {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..=0x9f => WINDOWS_1252
            .chars()
            .nth((code - 0x80) as usize)
            .unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// The named entities that servers and blog engines write. Others stay as they are.
const NAMED: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("hellip", '…'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("bull", '•'),
    ("middot", '·'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("deg", '°'),
    ("sect", '§'),
    ("para", '¶'),
    ("times", '×'),
    ("divide", '÷'),
    ("plusmn", '±'),
    ("frac12", '½'),
    ("frac14", '¼'),
    ("ordm", 'º'),
    ("ordf", 'ª'),
    ("iexcl", '¡'),
    ("iquest", '¿'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("atilde", 'ã'),
    ("auml", 'ä'),
    ("aring", 'å'),
    ("aelig", 'æ'),
    ("ccedil", 'ç'),
    ("egrave", 'è'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("euml", 'ë'),
    ("igrave", 'ì'),
    ("iacute", 'í'),
    ("icirc", 'î'),
    ("iuml", 'ï'),
    ("ntilde", 'ñ'),
    ("ograve", 'ò'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("otilde", 'õ'),
    ("ouml", 'ö'),
    ("oslash", 'ø'),
    ("oelig", 'œ'),
    ("ugrave", 'ù'),
    ("uacute", 'ú'),
    ("ucirc", 'û'),
    ("uuml", 'ü'),
    ("yacute", 'ý'),
    ("yuml", 'ÿ'),
    ("szlig", 'ß'),
    ("Agrave", 'À'),
    ("Aacute", 'Á'),
    ("Acirc", 'Â'),
    ("Atilde", 'Ã'),
    ("Auml", 'Ä'),
    ("Aring", 'Å'),
    ("AElig", 'Æ'),
    ("Ccedil", 'Ç'),
    ("Egrave", 'È'),
    ("Eacute", 'É'),
    ("Ecirc", 'Ê'),
    ("Euml", 'Ë'),
    ("Igrave", 'Ì'),
    ("Iacute", 'Í'),
    ("Icirc", 'Î'),
    ("Iuml", 'Ï'),
    ("Ntilde", 'Ñ'),
    ("Ograve", 'Ò'),
    ("Oacute", 'Ó'),
    ("Ocirc", 'Ô'),
    ("Otilde", 'Õ'),
    ("Ouml", 'Ö'),
    ("Oslash", 'Ø'),
    ("OElig", 'Œ'),
    ("Ugrave", 'Ù'),
    ("Uacute", 'Ú'),
    ("Ucirc", 'Û'),
    ("Uuml", 'Ü'),
    ("shy", '\u{ad}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("hearts", '♥'),
    ("larr", '←'),
    ("rarr", '→'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(to_text(html), expected, "{html}");
    }

    #[test]
    fn gives_what_a_reader_sees() {
        // As GoToSocial and Mastodon write them.
        check(
            r#"<p><span class="h-card"><a href="http://h/@ministere" class="u-url mention" rel="nofollow">@<span>ministere</span></a></span> c’est honteux, démission</p>"#,
            "@ministere c’est honteux, démission",
        );
        check(
            r#"<p>Voir <a href="https://ex.org/a-long-way"><span class="invisible">https://</span><span class="ellipsis">ex.org/a-long</span><span class="invisible">-way</span></a></p>"#,
            "Voir https://ex.org/a-long-way",
        );
        check("<p>un<br />deux<br>trois</p><p>quatre</p>", "un\ndeux\ntrois\n\nquatre");
        check(
            "<p>Bravo <a href=\"https://s/tags/musee\">#<span>musee</span></a>&nbsp;!</p>",
            "Bravo #musee\u{a0}!",
        );
        check(
            "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp;lt;</p>",
            "<script>alert(1)</script> &lt;",
        );
        check("  <p>  a \n  b\t<b> c</b> </p>  ", "a b c");
        check("<blockquote><p>cité</p></blockquote>réponse", "cité\n\nréponse");
        check("<ul><li>un</li><li>deux</li></ul>", "un\ndeux");
        check("<pre>a\n  b</pre>c", "a\n  b\n\nc");
        check("a<img class='emoji' alt=':coeur:' src='x'>b", "a:coeur:b");
        check(
            "L&#8217;&eacute;t&#xE9; &#128;5 &#0;&#x110000; &inconnu; &",
            "L’été €5 \u{fffd}\u{fffd} &inconnu; &",
        );
    }

    #[test]
    fn leaves_out_what_is_never_shown() {
        check("a<script>b</SCRIPT >c<style>d{}</style>e<!-- f > g -->h", "aceh");
        check("a<script>b", "a");
        check("a<!-- b", "a");
        check("<a title=\"x > y\" href='z'>lien</a>", "lien");
        check("a<b title=\"never closed>c", "a");
        check("<!DOCTYPE html><?xml version='1.0'?>a", "a");
    }

    #[test]
    fn a_sign_that_opens_no_tag_is_a_character() {
        check("1 < 2 et 3 > 2 <3 <", "1 < 2 et 3 > 2 <3 <");
        check("<>a</>b", "<>a</>b");
        check("", "");
    }

    #[test]
    fn hostile_input_takes_linear_time_and_no_panic() {
        for piece in [
            "<",
            "<a ",
            "<a b=\"",
            "<!--",
            "<script>",
            "</",
            "&",
            "&#",
            "&#x",
            "<img alt=",
            "<pre>\n",
            "é<é&é;",
        ] {
            let html = piece.repeat(60_000);
            let started = std::time::Instant::now();
            let text = to_text(&html);
            assert!(text.len() <= html.len() * 2);
            assert!(started.elapsed().as_secs() < 5, "{piece}: {:?}", started.elapsed());
        }
    }
}
