//! A file as batches of events.

use super::fields::Kind;
use super::format::{FormatError, Line, Lines};
use super::maker::Maker;
use super::mapping::{Layout, Mapping};
use super::{Batch, ImportError, RejectedLine};
use crate::intake::clock;
use crate::store::sites::Site;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

/// Events and rejected lines of one transaction.
const AT_ONCE: usize = 500;
/// Lines of one batch of which nothing is stored because that has been done: between two such batches an import can be
/// stopped.
const SKIPPED_AT_ONCE: u64 = 100_000;

/// How far an import has come before; those lines are read, but nothing of them is stored again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    /// Lines without the header.
    pub(crate) lines: u64,
}

/// A file that is being read.
pub(crate) struct Reading<'a> {
    maker: Maker,
    lines: Lines<'a>,
    /// Lines that were looked at and have not been given out.
    ahead: VecDeque<Line>,
    /// Lines that belong together, as far as they have been read.
    group: Vec<Line>,
    skipped: Skipped,
    /// Lines given out.
    read: u64,
    is_over: bool,
}

impl<'a> Reading<'a> {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// [`ImportError`]
    pub(crate) fn open(
        site: &Arc<Site>,
        (kind, mapping): (Kind, &Mapping),
        input: Box<dyn Read + 'a>,
        skipped: Skipped,
    ) -> Result<Reading<'a>, ImportError> {
        let mut lines = Lines::open_kind(kind, input)?;
        let layout = Layout::find(kind, &lines.columns, mapping)?;
        if let Some(missing) = layout.missing(kind, mapping).into_iter().next() {
            return Err(missing.into());
        }
        let (ahead, broken) = lines.ahead();
        if let Some(error) = broken {
            return Err(error.into());
        }
        let maker = Maker::new((site, &super::source()), (kind, layout), mapping, &ahead, clock::now_us());
        Ok(Reading { maker, lines, ahead: ahead.into(), group: Vec::new(), skipped, read: 0, is_over: false })
    }

    /// The names of the file's columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.lines.columns
    }

    /// The next batch; `None` at the end. A batch may be empty while lines are stepped over.
    ///
    /// # Errors
    /// [`FormatError`]
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, FormatError> {
        if self.is_over {
            return Ok(None);
        }
        let mut batch = Batch::default();
        let before = self.read;
        while batch.events.len() + batch.rejected.len() < AT_ONCE && self.read - before < SKIPPED_AT_ONCE {
            let line = match self.ahead.pop_front() {
                Some(line) => Some(line),
                None => self.lines.next()?,
            };
            match line {
                Some(line) if !self.group.is_empty() && self.maker.goes_on(&self.group, &line) => self.group.push(line),
                Some(line) => {
                    self.close_group(&mut batch);
                    self.group.push(line);
                }
                None => {
                    self.close_group(&mut batch);
                    self.is_over = true;
                    batch.days = self.maker.take_days();
                    break;
                }
            }
        }
        batch.lines = self.read;
        batch.bytes = self.lines.bytes();
        Ok(Some(batch))
    }

    /// Makes the events of the lines that belong together. They are made even of lines that are stepped over, so that
    /// equal lines are counted from the file's beginning and have the same ids.
    fn close_group(&mut self, batch: &mut Batch) {
        let group = std::mem::take(&mut self.group);
        let Some(first) = group.first() else { return };
        let made = self.maker.events(&group);
        self.read += group.len() as u64;
        if self.read <= self.skipped.lines {
            return;
        }
        match made {
            Ok(events) => batch.events.extend(events.into_iter().map(|event| (first.number, event))),
            Err(fault) => batch.rejected.extend(group.iter().map(|line| RejectedLine {
                line: line.number,
                kind: fault.reason,
                reason: fault.detail.clone(),
                told: line.told(),
            })),
        }
    }
}
