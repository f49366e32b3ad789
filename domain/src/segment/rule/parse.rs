//! Reads the sentences that [`super::sentence`] writes, and tells people what is missing where.
//!
//! One token is looked at at a time, and a few ahead where words could go on in two ways; nothing is read twice over
//! but those, so that reading takes as long as the sentence is long. It ends at the first text, clause or nesting beyond
//! the limits of [`super::check`].

mod computed;

use super::{
    Age, Amount, BucketClause, Clause, EventClause, Fact, FactClause, MAX_CLAUSES, MAX_DEPTH, MAX_SPAN_DAYS,
    MAX_TEXT_BYTES, Matching, Measure, Never, PropertyTest, Rule, RuleError, Scalar, SequenceClause, Span, Step, Test,
    TraitClause, WhatHappened, Window,
};
use jiff::civil::Date;
use std::str::FromStr;

/// What is wrong with a sentence, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct SentenceError {
    /// The character at which it goes wrong, the first is 1; line breaks count as characters.
    pub column: usize,
    /// What was expected there and what was found.
    pub message: String,
}

impl FromStr for Rule {
    type Err = SentenceError;

    /// Reads a rule that is written as a sentence, and checks it. Case of keywords and white space do not matter.
    fn from_str(text: &str) -> Result<Rule, SentenceError> {
        let first = Token::next(text, 0);
        let mut parser = Parser { text, token: first, before: "", may_follow: "", clauses: 0, whole: "a rule" };
        let error = |wrong: Wrong| SentenceError { column: column(text, wrong.at), message: wrong.message };
        let (who, place) = parser.sentence().map_err(error)?;
        let rule = Rule::new(who);
        rule.check().map_err(|RuleError { path, message }| error(Wrong { at: place.find(&path), message }))?;
        Ok(rule)
    }
}

/// Counts characters up to a byte.
fn column(text: &str, at: usize) -> usize {
    text[..at].chars().count() + 1
}

/// Redundant parentheses are read this deep; each level of clauses takes up to two.
const MAX_NESTING: usize = 3 * MAX_DEPTH;

/// Words and texts in messages are cut after so many characters.
const SHOWN: usize = 40;

#[derive(Debug)]
struct Wrong {
    /// The byte.
    at: usize,
    message: String,
}

type Parsed<T> = Result<T, Wrong>;

/// Where a clause stands in the sentence.
struct Place {
    at: usize,
    /// Where its window and what it asks stand, by their names in JSON.
    marks: Vec<(&'static str, usize)>,
    parts: Vec<Place>,
}

impl Place {
    fn leaf(at: usize) -> Place {
        Place { at, marks: Vec::new(), parts: Vec::new() }
    }

    /// The byte at which what a [`RuleError`] points at stands.
    fn find(&self, path: &str) -> usize {
        let mut place = self;
        let mut steps = path.split('/').skip(2);
        while let Some(step) = steps.next() {
            let part = match step {
                "all" | "any" => steps.next().and_then(|step| step.parse().ok()),
                "not" => Some(0_usize),
                _ => {
                    let name = steps.next();
                    let mark = place.marks.iter().find(|(mark, _)| Some(*mark) == name);
                    return mark.map_or(place.at, |(_, at)| *at);
                }
            };
            match part.and_then(|part| place.parts.get(part)) {
                Some(part) => place = part,
                None => break,
            }
        }
        place.at
    }
}

type Placed = (Clause, Place);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Open,
    Close,
    Comma,
    End,
    /// A text without an end.
    Unclosed,
    /// A text beyond [`MAX_TEXT_BYTES`].
    TooLong,
    /// A backslash in a text before something that needs none.
    Escape,
}

/// A piece of the sentence, from byte to byte.
#[derive(Clone, Copy, Debug)]
struct Token<'s> {
    kind: Kind,
    text: &'s str,
    start: usize,
    end: usize,
}

impl<'s> Token<'s> {
    /// The first token at or after a byte.
    fn next(text: &'s str, from: usize) -> Token<'s> {
        let rest = text[from..].trim_start();
        let start = text.len() - rest.len();
        let (kind, length) = match rest.chars().next() {
            None => (Kind::End, 0),
            Some('(') => (Kind::Open, 1),
            Some(')') => (Kind::Close, 1),
            Some(',') => (Kind::Comma, 1),
            Some('"') => quoted(rest, '"'),
            // Word processors make these of plain quotes.
            Some('“') => quoted(rest, '”'),
            Some(_) => {
                let ends = |character: char| character.is_whitespace() || "(),\"“".contains(character);
                (Kind::Word, rest.find(ends).unwrap_or(rest.len()))
            }
        };
        Token { kind, text: &rest[..length], start, end: start + length }
    }

    fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The number that a word is; infinite where it is too large.
    fn number(&self) -> Option<f64> {
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        let is_number = self.kind == Kind::Word && digits.starts_with(|first: char| first.is_ascii_digit());
        self.text.parse().ok().filter(|_| is_number)
    }

    fn is_end(&self) -> bool {
        self.kind == Kind::End
    }

    /// A text, well-formed or not.
    fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Unclosed | Kind::TooLong | Kind::Escape)
    }

    fn is_value(&self) -> bool {
        self.is_text() || self.is("true") || self.is("false") || self.number().is_some()
    }
}

/// The kind and length of a text; `rest` begins with its opening quote.
fn quoted(rest: &str, closing: char) -> (Kind, usize) {
    let mut is_escaped = false;
    let mut bytes = 0;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            '"' | '”' | '\\' if is_escaped => is_escaped = false,
            _ if is_escaped => return (Kind::Escape, at),
            '\\' => {
                is_escaped = true;
                continue;
            }
            _ if character == closing => return (Kind::Text, at + closing.len_utf8()),
            _ => {}
        }
        bytes += character.len_utf8();
        if bytes > MAX_TEXT_BYTES {
            return (Kind::TooLong, at);
        }
    }
    (Kind::Unclosed, rest.len())
}

fn unquoted(token: &str) -> String {
    let mut characters = token.chars();
    characters.next();
    characters.next_back();
    let mut text = String::with_capacity(token.len());
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

struct Parser<'s> {
    text: &'s str,
    token: Token<'s>,
    /// What was understood last.
    before: &'s str,
    /// What else could stand here than the end of a clause.
    may_follow: &'static str,
    clauses: usize,
    /// What is being read.
    whole: &'static str,
}

impl<'s> Parser<'s> {
    fn wrong<T>(&self, expected: &str) -> Parsed<T> {
        let found = match self.token.kind {
            Kind::Word => format!("{:?}", cut(self.token.text)),
            Kind::Text => cut(self.token.text),
            Kind::Open | Kind::Close | Kind::Comma => format!("\"{}\"", self.token.text),
            Kind::End => "the end".to_owned(),
            Kind::Unclosed => return self.fail(format!("the text {} has no closing quote", cut(self.token.text))),
            Kind::TooLong => {
                return self
                    .fail(format!("the text {} is too long, limit {MAX_TEXT_BYTES} bytes", cut(self.token.text)));
            }
            Kind::Escape => {
                let at = self.token.end - 1;
                let message = "in a text, a backslash stands before a quote or another backslash; write two for one";
                return Err(Wrong { at, message: message.to_owned() });
            }
        };
        if self.before.is_empty() {
            return self.fail(format!("{} begins with {expected}, found {found}", self.whole));
        }
        let before = cut(self.before);
        let before = if before.starts_with(['"', '“']) { before } else { format!("\"{before}\"") };
        self.fail(format!("after {before} comes {expected}, found {found}"))
    }

    fn fail<T>(&self, message: String) -> Parsed<T> {
        Err(Wrong { at: self.token.start, message })
    }

    fn advance(&mut self) -> Token<'s> {
        let token = self.token;
        self.before = token.text;
        self.token = self.after(token);
        token
    }

    fn after(&self, token: Token<'s>) -> Token<'s> {
        Token::next(self.text, token.end)
    }

    /// The last of these words, if they stand here.
    fn reads<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Option<Token<'s>> {
        let mut last = None;
        for word in words {
            let token = last.map_or(self.token, |last| self.after(last));
            if !token.is(word) {
                return None;
            }
            last = Some(token);
        }
        last
    }

    fn sees(&self, words: &str) -> bool {
        self.reads(words.split(' ')).is_some()
    }

    /// Goes behind these words, if they stand here.
    fn eat(&mut self, words: &str) -> bool {
        let last = self.reads(words.split(' '));
        if let Some(last) = last {
            self.go_behind(last);
        }
        last.is_some()
    }

    fn go_behind(&mut self, last: Token<'s>) {
        self.before = &self.text[self.token.start..last.end];
        self.token = self.after(last);
    }

    fn need(&mut self, words: &str, expected: &str) -> Parsed<()> {
        if self.eat(words) { Ok(()) } else { self.wrong(expected) }
    }

    fn punctuation(&mut self, kind: Kind, expected: &str) -> Parsed<()> {
        if self.token.kind != kind {
            return self.wrong(expected);
        }
        self.advance();
        Ok(())
    }

    /// Goes behind a comma that one of these words follows.
    fn eat_comma_before(&mut self, words: &[&str]) -> bool {
        let next = (self.token.kind == Kind::Comma).then(|| self.after(self.token));
        let is_there = next.is_some_and(|next| words.iter().any(|word| next.is(word)));
        if is_there {
            self.advance();
        }
        is_there
    }

    fn quoted_text(&mut self, expected: &str) -> Parsed<String> {
        if self.token.kind != Kind::Text {
            return self.wrong(expected);
        }
        Ok(unquoted(self.advance().text))
    }

    fn number(&mut self, expected: &str) -> Parsed<f64> {
        match self.token.number() {
            Some(number) if number.is_finite() => {
                self.advance();
                Ok(number)
            }
            Some(_) => self.fail("a number is at most 1e15 in size".to_owned()),
            None => self.wrong(expected),
        }
    }

    fn sentence(&mut self) -> Parsed<Placed> {
        let who = self.clause(1)?;
        if self.token.kind != Kind::End {
            return self.no_end("the end");
        }
        Ok(who)
    }

    /// Something else than the end of a clause.
    fn no_end<T>(&self, end: &str) -> Parsed<T> {
        if self.sees("and") || self.sees("or") {
            return self.fail("\"and\" and \"or\" are mixed; put what belongs together into parentheses".to_owned());
        }
        self.wrong(&format!("{}\"and\", \"or\" or {end}", self.may_follow))
    }

    fn count_clause(&mut self) -> Parsed<()> {
        self.clauses += 1;
        if self.clauses > MAX_CLAUSES {
            return self
                .fail(format!("a rule has at most {MAX_CLAUSES} clauses; put some into a segment of their own"));
        }
        Ok(())
    }

    fn clause(&mut self, nesting: usize) -> Parsed<Placed> {
        let (first, place) = self.part(nesting)?;
        let word = ["and", "or"].into_iter().find(|word| self.sees(word));
        let Some(word) = word else { return Ok((first, place)) };
        self.count_clause()?;
        let mut whole = Place::leaf(place.at);
        let (mut parts, mut places) = (vec![first], vec![place]);
        while self.eat(word) {
            let (part, place) = self.part(nesting)?;
            parts.push(part);
            places.push(place);
        }
        whole.parts = places;
        Ok((if word == "and" { Clause::All(parts) } else { Clause::Any(parts) }, whole))
    }

    fn part(&mut self, nesting: usize) -> Parsed<Placed> {
        let at = self.token.start;
        if nesting > MAX_NESTING {
            return self.fail(format!("clauses are nested at most {MAX_DEPTH} deep"));
        }
        if self.eat("not") {
            self.count_clause()?;
            let (part, place) = self.part(nesting + 1)?;
            return Ok((Clause::Not(Box::new(part)), Place { parts: vec![place], ..Place::leaf(at) }));
        }
        for (words, whole) in
            [("all of", Clause::All as fn(Vec<Clause>) -> Clause), ("any of", Clause::Any as fn(Vec<Clause>) -> Clause)]
        {
            if self.eat(words) {
                self.count_clause()?;
                self.punctuation(Kind::Open, "\"(\"")?;
                let part = if self.token.kind == Kind::Close { None } else { Some(self.clause(nesting + 1)?) };
                self.close()?;
                let (parts, places) = part.into_iter().unzip();
                return Ok((whole(parts), Place { parts: places, ..Place::leaf(at) }));
            }
        }
        if self.token.kind == Kind::Open {
            self.advance();
            let inner = self.clause(nesting + 1)?;
            self.close()?;
            return Ok(inner);
        }
        self.count_clause()?;
        let mut place = Place::leaf(at);
        Ok((self.leaf(&mut place)?, place))
    }

    fn close(&mut self) -> Parsed<()> {
        if self.token.kind != Kind::Close {
            return self.no_end("\")\"");
        }
        self.may_follow = "";
        self.advance();
        Ok(())
    }

    fn leaf(&mut self, place: &mut Place) -> Parsed<Clause> {
        self.may_follow = "";
        if self.eat("trait") {
            let name = self.quoted_text("the trait's name in quotes")?;
            place.marks.push(("is", self.token.start));
            return Ok(Clause::Trait(TraitClause { name, is: self.test()? }));
        }
        if self.eat("in segment") {
            return Ok(Clause::Segment(self.quoted_text("the segment's key in quotes")?));
        }
        if self.eat("in bucket") {
            return Ok(Clause::Bucket(self.bucket()?));
        }
        if self.eat("in") {
            return self.wrong("\"segment\" or \"bucket\"");
        }
        if let Some(name) = self.fact() {
            place.marks.push(("is", self.token.start));
            // Of what is true or not, the name alone is enough.
            let is_asked = ["is", "contains", "starts"].into_iter().any(|word| self.token.is(word));
            let is = if name == Fact::SignedUp && !is_asked { Test::Is(Scalar::Bool(true)) } else { self.test()? };
            return Ok(Clause::Fact(FactClause { name, is }));
        }
        if self.eat("total") {
            return self.total(place);
        }
        if self.sees("first") || self.sees("last") {
            return self.first_or_last(place);
        }
        if self.eat("never") {
            let of = self.matching("what did not happen: \"ordered\", \"viewed\" a page, \"did\" an event")?;
            let window = self.window(place)?;
            return Ok(Clause::Event(EventClause { of, window, is: Measure::Count(Amount::AtMost(0.0)) }));
        }
        let first = self.matching(
            "a clause, such as viewed \"/pricing\", did \"Product Added\", ordered, a fact, trait, in segment, not or \
             \"(\"",
        )?;
        self.eat_comma_before(&["then", "never", "for", "at", "exactly", "between"]);
        if self.sees("then") || self.sees("never") {
            return self.sequence(first, place);
        }
        self.happened(first, place)
    }

    fn bucket(&mut self) -> Parsed<BucketClause> {
        let from = self.ten_thousandth()?;
        self.need("to", "\"to\"")?;
        let to = self.ten_thousandth()?;
        self.need("of", "\"of\" and a salt in quotes")?;
        Ok(BucketClause { salt: self.quoted_text("a salt in quotes")?, from, to })
    }

    fn ten_thousandth(&mut self) -> Parsed<u16> {
        match self.token.text.parse() {
            Ok(number) => {
                self.advance();
                Ok(number)
            }
            Err(_) => self.wrong("a number of ten-thousandths, 0 to 10000"),
        }
    }

    /// The fact with the longest name that stands here.
    fn fact(&mut self) -> Option<Fact> {
        let known = Fact::ALL.into_iter().filter_map(|fact| {
            let spelt = self.reads(fact.key().split('_')).or_else(|| self.reads([fact.key()]));
            spelt.map(|last| (last, fact))
        });
        let (last, fact) = known.max_by_key(|(last, _)| last.end)?;
        self.go_behind(last);
        Some(fact)
    }

    fn total(&mut self, place: &mut Place) -> Parsed<Clause> {
        let property = self.quoted_text("the property's name in quotes")?;
        self.need("of", "\"of\"")?;
        let of = Matching { what: self.noun()?, properties: self.with()? };
        self.eat_comma_before(&["at", "exactly", "between"]);
        place.marks.push(("is", self.token.start));
        let Some(is) = self.amount(Parser::amount_number)? else {
            return self.wrong("how much: \"at least\", \"at most\", \"exactly\" or \"between\"");
        };
        let window = self.window(place)?;
        Ok(Clause::Event(EventClause { of, window, is: Measure::Sum { property, is } }))
    }

    /// Events as what something is taken of.
    fn noun(&mut self) -> Parsed<WhatHappened> {
        if self.token.is_text() {
            return Ok(WhatHappened::Track(self.quoted_text("")?));
        }
        if self.eat("views of") {
            return Ok(WhatHappened::Page(self.quoted_text("a page in quotes")?));
        }
        let known = [
            ("anything", WhatHappened::Anything),
            ("visits", WhatHappened::Visit),
            ("orders", WhatHappened::Order),
            ("identifications", WhatHappened::Identify),
        ];
        match known.into_iter().find(|(word, _)| self.eat(word)) {
            Some((_, what)) => Ok(what),
            None => self.wrong("an event's name in quotes, \"visits\" or \"anything\""),
        }
    }

    fn amount_number(&mut self) -> Parsed<f64> {
        self.number("a number")
    }

    /// `once`, `twice`, `3 times`.
    fn how_often(&mut self) -> Parsed<f64> {
        if self.eat("once") {
            return Ok(1.0);
        }
        if self.eat("twice") {
            return Ok(2.0);
        }
        let number = self.number("how often, such as 3 times")?;
        self.times()?;
        Ok(number)
    }

    fn times(&mut self) -> Parsed<()> {
        if self.eat("time") { Ok(()) } else { self.need("times", "\"times\"") }
    }

    /// `at least 3`, `between 1 and 5`; what `read` reads is the number with its unit.
    fn amount(&mut self, read: impl Fn(&mut Self) -> Parsed<f64>) -> Parsed<Option<Amount>> {
        Ok(Some(if self.eat("at least") {
            Amount::AtLeast(read(self)?)
        } else if self.eat("at most") {
            Amount::AtMost(read(self)?)
        } else if self.eat("exactly") {
            Amount::Exactly(read(self)?)
        } else if self.eat("between") {
            let [least, most] = self.between()?;
            Amount::Between(least, most)
        } else if self.eat("at") {
            return self.wrong("\"least\" or \"most\"");
        } else {
            return Ok(None);
        }))
    }

    fn between(&mut self) -> Parsed<[f64; 2]> {
        let least = self.amount_number()?;
        self.need("and", "\"and\" and a second number")?;
        Ok([least, self.amount_number()?])
    }

    fn first_or_last(&mut self, place: &mut Place) -> Parsed<Clause> {
        let is_last = self.advance().is("last");
        let of = self.matching("what happened: \"ordered\", \"viewed\" a page, \"did\" an event")?;
        self.eat_comma_before(&["at"]);
        place.marks.push(("is", self.token.start));
        let age: fn(Span) -> Age = if self.eat("at least") {
            Age::AtLeast
        } else if self.eat("at most") {
            Age::AtMost
        } else {
            return self.wrong("how long ago, such as at least 90 days ago");
        };
        let age = age(self.span()?);
        self.need("ago", "\"ago\"")?;
        let is = if is_last { Measure::Last(age) } else { Measure::First(age) };
        Ok(Clause::Event(EventClause { of, window: self.window(place)?, is }))
    }

    /// What follows events that are asked by themselves.
    fn happened(&mut self, of: Matching, place: &mut Place) -> Parsed<Clause> {
        place.marks.push(("is", self.token.start));
        let is = if self.eat("for") {
            let amount = self.amount(Parser::amount_number)?;
            let Some(is) = amount else { return self.wrong("how much, such as at least 100 in total") };
            self.need("in total", "\"in total\"")?;
            if of.what != WhatHappened::Order {
                let message = "only orders are added up so; of other events write total \"price\" of \"Product Added\"";
                return Err(Wrong { at: place.at, message: message.to_owned() });
            }
            Measure::Sum { property: "total".to_owned(), is }
        } else {
            let is_range = self.token.is("between");
            let amount = self.amount(|parser| if is_range { parser.amount_number() } else { parser.how_often() })?;
            if is_range {
                self.times()?;
            } else if amount.is_none() {
                self.may_follow = "how often (at least 3 times), when (within 14 days), \"then\", ";
            }
            Measure::Count(amount.unwrap_or(Amount::AtLeast(1.0)))
        };
        Ok(Clause::Event(EventClause { of, window: self.window(place)?, is }))
    }

    fn sequence(&mut self, first: Matching, place: &mut Place) -> Parsed<Clause> {
        let mut sequence = SequenceClause { first, then: Vec::new(), never: None, window: Window::Ever };
        while self.eat("then") {
            let of = self.matching("what happened next: \"ordered\", \"viewed\" a page, \"did\" an event")?;
            let mut step = Step { of, within: None, without: None };
            loop {
                if step.within.is_none() && self.eat("within") {
                    step.within = Some(self.span()?);
                } else if step.without.is_none() && self.eat("without") {
                    step.without = Some(self.matching("what did not happen in between")?);
                } else {
                    break;
                }
            }
            sequence.then.push(step);
            self.eat_comma_before(&["then", "never"]);
        }
        if self.eat("never followed by") {
            let of = self.matching("what did not follow")?;
            self.need("within", "\"within\" and how long it was waited for")?;
            sequence.never = Some(Never { of, within: self.span()? });
        } else if self.eat("never") {
            return self.wrong("\"followed by\"");
        }
        if self.eat_comma_before(&WINDOWS) {
            sequence.window = self.window(place)?;
        } else {
            self.may_follow = if sequence.never.is_some() {
                "a comma with when all of it happened (, within 14 days), "
            } else {
                "\"then\", \"never followed by\", a comma with when all of it happened (, within 14 days), "
            };
        }
        Ok(Clause::Sequence(sequence))
    }

    fn matching(&mut self, expected: &str) -> Parsed<Matching> {
        let what = if self.eat("viewed") {
            WhatHappened::Page(self.quoted_text("a page in quotes, such as \"/pricing\"")?)
        } else if self.eat("did anything") {
            WhatHappened::Anything
        } else if self.eat("did") || self.eat("added") {
            WhatHappened::Track(self.quoted_text("an event's name in quotes, or \"anything\"")?)
        } else if self.eat("ordered") {
            WhatHappened::Order
        } else if self.eat("visited") {
            WhatHappened::Visit
        } else if self.eat("identified") {
            WhatHappened::Identify
        } else {
            return self.wrong(expected);
        };
        Ok(Matching { what, properties: self.with()? })
    }

    fn with(&mut self) -> Parsed<Vec<PropertyTest>> {
        let mut properties = Vec::new();
        if !self.eat("with") {
            return Ok(properties);
        }
        loop {
            let property = self.quoted_text("a property's name in quotes")?;
            properties.push(PropertyTest { property, is: self.test()? });
            // A clause never begins with a text.
            if !(self.token.is("and") && self.after(self.token).is_text()) {
                return Ok(properties);
            }
            self.advance();
        }
    }

    fn test(&mut self) -> Parsed<Test> {
        if self.eat("contains") {
            return Ok(Test::Contains(self.quoted_text("a text in quotes")?));
        }
        if self.eat("starts with") {
            return Ok(Test::StartsWith(self.quoted_text("a text in quotes")?));
        }
        // `orders at least 3` is read, `orders is at least 3` is written.
        let asks_a_number = ["at", "between"].into_iter().any(|word| self.token.is(word));
        if !asks_a_number {
            self.need("is", "\"is\", \"contains\" or \"starts with\"")?;
        }
        Ok(if self.eat("not known") {
            Test::Exists(false)
        } else if self.eat("known") {
            Test::Exists(true)
        } else if self.eat("not") {
            Test::IsNot(self.value("\"known\" or a value: a text in quotes, a number, true or false")?)
        } else if self.eat("one of") {
            Test::OneOf(self.values()?)
        } else if self.eat("at least") {
            Test::AtLeast(self.amount_number()?)
        } else if self.eat("at most") {
            Test::AtMost(self.amount_number()?)
        } else if self.eat("between") {
            let [least, most] = self.between()?;
            Test::Between(least, most)
        } else {
            Test::Is(self.value(
                "a value (a text in quotes, a number, true, false), \"not\", \"one of\", \"at least\", \"at most\", \
                 \"between\" or \"known\"",
            )?)
        })
    }

    fn values(&mut self) -> Parsed<Vec<Scalar>> {
        let expected = "a value: a text in quotes, a number, true or false";
        let mut values = vec![self.value(expected)?];
        while self.token.kind == Kind::Comma && self.after(self.token).is_value() {
            self.advance();
            values.push(self.value(expected)?);
        }
        Ok(values)
    }

    fn value(&mut self, expected: &str) -> Parsed<Scalar> {
        if self.token.kind == Kind::Text {
            return Ok(Scalar::Text(self.quoted_text(expected)?));
        }
        if self.token.number().is_some() {
            return Ok(Scalar::Number(self.number(expected)?));
        }
        if self.eat("true") {
            return Ok(Scalar::Bool(true));
        }
        if self.eat("false") {
            return Ok(Scalar::Bool(false));
        }
        self.wrong(expected)
    }

    fn window(&mut self, place: &mut Place) -> Parsed<Window> {
        self.eat_comma_before(&WINDOWS);
        let at = self.token.start;
        let window = if self.eat("within") {
            Window::Within(self.span()?)
        } else if self.eat("before") {
            Window::Before(self.day()?)
        } else if self.eat("since") {
            Window::Since(self.day()?)
        } else if self.eat("from") {
            let is_day = self.token.text.contains('-');
            if is_day {
                let first = self.day()?;
                self.need("to", "\"to\" and another day")?;
                Window::Between(first, self.day()?)
            } else {
                let from = self.span()?;
                self.need("to", "\"to\" and a shorter length of time")?;
                let to = self.span()?;
                self.need("ago", "\"ago\"")?;
                Window::Ago(from, to)
            }
        } else {
            return Ok(Window::Ever);
        };
        self.may_follow = "";
        place.marks.push(("window", at));
        Ok(window)
    }

    fn span(&mut self) -> Parsed<Span> {
        let count = self.token;
        if !count.text.starts_with(|first: char| first.is_ascii_digit()) {
            return self.wrong("a length of time such as 14 days");
        }
        if count.text.bytes().any(|byte| !byte.is_ascii_digit()) {
            return self.wrong("a whole number with a unit, such as 14 days");
        }
        let unit = self.after(count);
        let singular = |text: &'s str| text.strip_suffix(['s', 'S']).unwrap_or(text);
        let known = super::UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(singular(unit.text)));
        let Some((_, seconds)) = known.filter(|_| unit.kind == Kind::Word) else {
            self.advance();
            return self.wrong("a unit: seconds, minutes, hours, days or weeks");
        };
        let Some(span) = count.text.parse().ok().and_then(|count: u32| count.checked_mul(*seconds)) else {
            return self.fail(format!("a span is at most {MAX_SPAN_DAYS} days"));
        };
        self.go_behind(unit);
        Ok(Span(span))
    }

    fn day(&mut self) -> Parsed<Date> {
        let text = self.token.text;
        // Days with a time behind them would be read, too.
        let day = text.parse().ok().filter(|_| text.len() == 10);
        match day {
            Some(day) => {
                self.advance();
                Ok(day)
            }
            None => self.wrong("a day such as 2026-03-31"),
        }
    }
}

const WINDOWS: [&str; 4] = ["within", "before", "since", "from"];
