//! Statements that each connection keeps prepared.
//!
//! Diesel prepares `sql_query` anew on every call; at hundreds of transactions a second the parsing would cost more
//! than the work. [`sql`] takes the same plain SQL, is cached by its text, and is run with diesel's `RunQueryDsl`.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};
use diesel::{PgConnection, RunQueryDsl};
use std::marker::PhantomData;

/// A statement with `$1`, `$2`, … each used once and in this order.
pub(crate) fn sql(text: &'static str) -> Statement {
    Statement { text, binds: Vec::new() }
}

/// See [`sql`].
pub(crate) struct Statement {
    text: &'static str,
    binds: Vec<Box<dyn PushBind>>,
}

impl Statement {
    /// Binds the next `$n`.
    pub(crate) fn bind<T, U>(mut self, value: U) -> Self
    where
        T: 'static,
        U: ToSql<T, Pg> + 'static,
        Pg: HasSqlType<T>,
    {
        self.binds.push(Box::new(Bind { value, sql_type: PhantomData::<T> }));
        self
    }
}

trait PushBind {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Bind<T, U> {
    value: U,
    sql_type: PhantomData<T>,
}

impl<T, U> PushBind for Bind<T, U>
where
    U: ToSql<T, Pg>,
    Pg: HasSqlType<T>,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<T, U>(&self.value)
    }
}

impl QueryFragment<Pg> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut rest = self.text;
        for (i, bind) in self.binds.iter().enumerate() {
            let mark = format!("${}", i + 1);
            let at = rest.find(&mark).ok_or_else(|| missing(self.text, &mark))?;
            out.push_sql(&rest[..at]);
            bind.push(&mut out)?;
            rest = &rest[at + mark.len()..];
        }
        if rest.as_bytes().windows(2).any(|w| w[0] == b'$' && w[1].is_ascii_digit()) {
            return Err(missing(self.text, "another value"));
        }
        out.push_sql(rest);
        Ok(())
    }
}

fn missing(text: &str, mark: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(format!("statement and binds differ at {mark}: {text}").into())
}

// No static id: the text is the key of diesel's cache.
impl QueryId for Statement {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for Statement {}
