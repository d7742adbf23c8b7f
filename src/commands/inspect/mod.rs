//! `chatctl inspect`: looks into the store, for the person on call. It reads, and can't write.

mod schema;
mod sql;
mod tables;

use super::Done;
use super::Env;
use crate::db;
use crate::db::Db;
use crate::db::Target;
use crate::report::Piece;
use crate::stop::Stop;

/// Look into the store: reads, and can't write
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the tables: rows, size, last write, and by what each is known again
    Tables(tables::Args),

    /// Tell the columns, keys and indexes of a table, or of all
    Schema(schema::Args),

    /// Run a query that can only read
    Sql(sql::Args),
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let db = open(&env).await?;
    let look = async {
        match &args.command {
            Command::Tables(args) => tables::run(args, &*db, &env).await,
            Command::Schema(args) => schema::run(args, &*db, &env).await,
            Command::Sql(args) => sql::run(args, &*db, &env).await,
        }
    };
    // A query stops by itself, and tells its server so; catalogues are read in no time.
    let looked = match &args.command {
        Command::Sql(_) => look.await,
        _ => tokio::select! {
            looked = look => looked,
            () = env.until_gone() => Ok(()),
        },
    };
    match *env.interrupted.borrow() {
        true => Err(Stop::interrupted().into()),
        false => looked.map(|()| Done::Shown),
    }
}

/// The store, read-only.
async fn open(env: &Env) -> anyhow::Result<Box<dyn Db>> {
    let url = env
        .config
        .value("database-url", env.database_url.as_deref())?
        .ok_or_else(|| {
            Stop::usage("no database").hint(
                "give --database-url sqlite:PATH, postgres://… or mysql://…, or set DATABASE_URL",
            )
        })?;
    let target = Target::parse(&url)?;
    env.progress
        .note(&format!("store: {target} ({})", target.backend()));
    db::open(target).await
}

/// Shows a piece. When nobody reads any more nothing is shown; the command is about to end.
async fn show(env: &Env, piece: Piece) {
    let _ = env.pieces.send(piece).await;
}
