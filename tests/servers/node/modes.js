// When and how a server saves the answer. `node modes.js` prints `mode truth` for each: `pass`, the
// commit comes before [DONE]; `violation`, [DONE] does not wait for it.
//
// `setImmediate` starts what nobody waits for: a save with a driver that blocks would otherwise be
// done before the next line runs.

"use strict";

const START_LATER = (work) => setImmediate(() => work().catch(console.error));
const AFTER_THE_LAST_COMMIT = 0.1;

const PASS = {
  async correct(turn) {
    await turn.relay();
    await turn.save();
    await turn.done();
  },
  async touch_correct(turn) {
    await turn.relay();
    await turn.touch();
    await turn.save();
    await turn.done();
  },
  async save_touch(turn) {
    await turn.relay();
    await turn.save();
    await turn.touch();
    await turn.done();
  },
  async conc_both(turn) {
    await turn.relay();
    await Promise.all([turn.save(), turn.touch()]);
    await turn.done();
  },
  async autocommit(turn) {
    await turn.relay();
    await turn.store.writeAlone(turn.row());
    await turn.done();
  },
  async long_tx_correct(turn) {
    const session = await relayInTransaction(turn);
    await session.commit();
    await turn.done();
  },
  // As agent frameworks end a turn: the session, the message, and a transaction that writes nothing.
  async three_transactions(turn) {
    await turn.relay();
    await turn.touch();
    await turn.save();
    const empty = await turn.store.open();
    await empty.commit();
    const until = performance.now() + AFTER_THE_LAST_COMMIT;
    while (performance.now() < until);
    await turn.done();
  },
};

const VIOLATION = {
  async after(turn) {
    await turn.relay();
    await turn.done();
    await turn.save();
  },
  async autocommit_after(turn) {
    await turn.relay();
    await turn.done();
    await turn.store.writeAlone(turn.row());
  },
  async create_task(turn) {
    await turn.relay();
    START_LATER(turn.save);
    await turn.done();
  },
  async touch_after(turn) {
    await turn.relay();
    await turn.touch();
    await turn.done();
    await turn.save();
  },
  async conc_writer(turn) {
    await turn.relay();
    START_LATER(turn.save);
    await turn.touch();
    await turn.done();
  },
  async flush_after(turn) {
    await turn.relay();
    const session = await turn.store.open();
    await session.write(turn.row());
    await turn.done();
    await session.commit();
  },
  async long_tx_after(turn) {
    const session = await relayInTransaction(turn);
    await turn.done();
    await session.commit();
  },
};

// Right as long as the turn comes to its end.
const ENDINGS = {
  async stops_with_client(turn) {
    await turn.relay(async () => {
      if (turn.hasLeft()) throw new Error("the client left");
    });
    await turn.save();
    await turn.done();
  },
  // Knows of clients that leave only where they abort a stream of HTTP/2.
  async stops_with_stream(turn) {
    await turn.relay(async () => {
      if (turn.isAborted()) throw new Error("the client left");
    });
    await turn.save();
    await turn.done();
  },
  // Stop ends the turn, and nothing of its answer stays.
  async stop_drops(turn) {
    const stop = new Error("stopped");
    try {
      await turn.relay(async () => {
        if (turn.isStopped()) throw stop;
      });
      await turn.save();
    } catch (error) {
      if (error !== stop) throw error;
    }
    await turn.done();
  },
  // Whatever goes wrong at the provider: what came is the answer.
  async hides_errors(turn) {
    await turn.relay().catch(console.error);
    await turn.save();
    await turn.done();
  },
  async question_with_answer(turn) {
    await turn.relay();
    await turn.saveQuestion();
    await turn.save();
    await turn.done();
  },
  async once_by_key(turn) {
    await turn.send(await turn.once(turn.collect));
    await turn.done();
  },
};
ENDINGS.question_with_answer.storesQuestion = true;
ENDINGS.once_by_key.isOnceByKey = true;

/** The answer's row from its first text on, in a transaction that stays open. */
async function relayInTransaction(turn) {
  const session = await turn.store.open();
  let isThere = false;
  await turn.relay(async () => {
    if (!isThere) await session.write(turn.row());
    isThere = true;
  });
  await session.write(["UPDATE", turn.text, turn.key, "assistant"]);
  return session;
}

exports.MODES = { ...PASS, ...VIOLATION, ...ENDINGS };

if (require.main === module) {
  for (const mode of Object.keys(PASS)) console.log(`${mode} pass`);
  for (const mode of Object.keys(VIOLATION)) console.log(`${mode} violation`);
}
