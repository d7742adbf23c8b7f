// What the server asks of a database, by the driver that its URL names: `pg`, `mysql2` or
// `better-sqlite3`.
//
// A session is a transaction on a connection of its own: `write` and `commit`, which ends it too.

"use strict";

const WRITES = {
  CREATE: "INSERT INTO conversation (id, touched) VALUES (?, 0)",
  TOUCH: "UPDATE conversation SET touched = touched + 1 WHERE id = ?",
  INSERT: "INSERT INTO message (conversation_id, role, content) VALUES (?, ?, ?)",
  // The last one of this conversation and role: MySQL reads no table that it changes, unless it is derived.
  UPDATE: `UPDATE message SET content = ? WHERE id =
    (SELECT id FROM (SELECT max(id) AS id FROM message WHERE conversation_id = ? AND role = ?) AS last)`,
};
const HISTORY = "SELECT role, content FROM message WHERE conversation_id = ? ORDER BY id";
const schema = (key) => [
  "CREATE TABLE IF NOT EXISTS conversation (id VARCHAR(40) PRIMARY KEY, touched INTEGER)",
  `CREATE TABLE IF NOT EXISTS message (id ${key}, conversation_id VARCHAR(40), role VARCHAR(20), content TEXT)`,
];

class Store {
  /** Writes in a transaction. */
  async write(write) {
    const session = await this.open();
    await session.write(write);
    await session.commit();
  }

  /** Writes outside of any transaction. */
  async writeAlone([what, ...values]) {
    await this.run(WRITES[what], values);
  }

  async history(key) {
    return this.run(HISTORY, [key]);
  }
}

class Postgres extends Store {
  constructor(pool) {
    super();
    this.pool = pool;
  }

  static async connect(url) {
    const pg = require("pg");
    const store = new Postgres(new pg.Pool({ connectionString: url }));
    for (const table of schema("SERIAL PRIMARY KEY")) await store.pool.query(table);
    return store;
  }

  static numbered(sql) {
    let number = 0;
    return sql.replace(/\?/g, () => `$${(number += 1)}`);
  }

  async run(sql, values) {
    return (await this.pool.query(Postgres.numbered(sql), values)).rows;
  }

  async open() {
    const client = await this.pool.connect();
    await client.query("BEGIN");
    return {
      write: ([what, ...values]) => client.query(Postgres.numbered(WRITES[what]), values),
      async commit() {
        await client.query("COMMIT");
        client.release();
      },
    };
  }
}

class Mysql extends Store {
  constructor(pool) {
    super();
    this.pool = pool;
  }

  static async connect(uri) {
    const mysql = require("mysql2/promise");
    const compress = process.env.COMPRESS === "1";
    const store = new Mysql(mysql.createPool({ uri, compress }));
    for (const table of schema("INTEGER PRIMARY KEY AUTO_INCREMENT")) await store.pool.query(table);
    return store;
  }

  async run(sql, values) {
    return (await this.pool.execute(sql, values))[0];
  }

  async open() {
    const connection = await this.pool.getConnection();
    await connection.beginTransaction();
    return {
      write: ([what, ...values]) => connection.execute(WRITES[what], values),
      async commit() {
        await connection.commit();
        connection.release();
      },
    };
  }
}

/** Every call blocks the event loop. */
class Sqlite extends Store {
  constructor(connect) {
    super();
    this.connect = connect;
    this.shared = connect();
  }

  static async connect(path, journal) {
    const Database = require("better-sqlite3");
    const store = new Sqlite(() => new Database(path));
    store.shared.pragma(`journal_mode = ${journal}`);
    for (const table of schema("INTEGER PRIMARY KEY")) store.shared.exec(table);
    return store;
  }

  // Not in steps: a second transaction of the one thread would wait for this one for ever.
  async write([what, ...values]) {
    this.shared.transaction(() => this.shared.prepare(WRITES[what]).run(values))();
  }

  async run(sql, values) {
    const statement = this.shared.prepare(sql);
    return statement.reader ? statement.all(values) : statement.run(values);
  }

  async open() {
    const connection = this.connect();
    connection.exec("BEGIN");
    return {
      write: async ([what, ...values]) => connection.prepare(WRITES[what]).run(values),
      async commit() {
        connection.exec("COMMIT");
        connection.close();
      },
    };
  }
}

exports.openStore = async function ({ DATABASE_URL: url = "", DATABASE_PATH: path, JOURNAL: journal = "wal" }) {
  if (url.startsWith("postgres")) return Postgres.connect(url);
  if (url.startsWith("mysql")) return Mysql.connect(url);
  return Sqlite.connect(path, journal);
};
