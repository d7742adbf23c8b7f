//! What leaves the program: no stored text moves a terminal, commands a CI system, or hides itself.

mod hostile;

mod redact;
mod secrets;
