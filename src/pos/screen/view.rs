//! Puts a [`Screen`] on a terminal with plain ANSI, or line by line where the output is no terminal. Leaves
//! the terminal as it was, whatever happens.

use std::io::{self, Write};

use super::{Screen, plain};
use crate::pos::{Ledger, PosEvent, Press};

/// Own page, no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Back to the page and cursor of before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen and where it is shown.
pub struct View<W: Write> {
    screen: Screen,
    out: W,
    live: bool,
    shown: Vec<String>,
    said: String,
}

impl<W: Write> View<W> {
    /// A view that draws pictures when `live` (a terminal), else prints lines.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn new(ledger: &Ledger, mut out: W, live: bool) -> io::Result<Self> {
        if live {
            out.write_all(ENTER.as_bytes())?;
        }
        Ok(Self { screen: Screen::new(ledger), out, live, shown: Vec::new(), said: String::new() })
    }

    /// Takes in what happened; without a terminal it is printed at once, unless it repeats the last line.
    ///
    /// # Errors
    /// When the output takes nothing.
    pub fn heard(&mut self, event: &PosEvent) -> io::Result<()> {
        self.screen.heard(event);
        if self.live {
            return Ok(());
        }
        match plain(event) {
            Some(text) if text != self.said => {
                writeln!(self.out, "{text}")?;
                self.said = text;
                self.out.flush()
            }
            _ => Ok(()),
        }
    }

    /// A key was pressed and is in the POS's log.
    pub fn pressed(&mut self, press: Press) {
        self.screen.pressed(press);
    }

    /// The shopper asked to be recognised.
    pub fn recognise(&mut self) {
        self.screen.recognise();
    }

    /// The shopper answered whether it is them.
    pub fn it_is_me(&mut self, yes: bool) {
        self.screen.it_is_me(yes);
    }

    /// The attention was acknowledged.
    pub fn acknowledged(&mut self) {
        self.screen.acknowledged();
    }

    /// Draws the picture if it changed; nothing without a terminal.
    ///
    /// # Errors
    /// When the output takes nothing.
    pub fn draw(&mut self, columns: usize, rows: usize) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let frame = self.screen.frame(columns, rows);
        if frame == self.shown {
            return Ok(());
        }
        // One write, so that no half picture is seen.
        let mut text = String::from("\x1b[H");
        for (i, line) in frame.iter().enumerate() {
            if i > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        self.shown = frame;
        Ok(())
    }
}

impl<W: Write> Drop for View<W> {
    fn drop(&mut self) {
        if self.live {
            let _ = self.out.write_all(LEAVE.as_bytes());
            let _ = self.out.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_a_picture_once_and_its_page_back() {
        let mut out = Vec::new();
        let mut view = View::new(&Ledger::default(), &mut out, true).unwrap();
        view.heard(&PosEvent::Up).unwrap();
        view.draw(40, 24).unwrap();
        view.draw(40, 24).unwrap();
        drop(view);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(ENTER) && text.ends_with(LEAVE), "{text:?}");
        assert_eq!(text.matches("\x1b[H").count(), 1, "the same picture is not drawn twice");
    }

    #[test]
    fn a_pipe_gets_lines_without_escapes() {
        let mut out = Vec::new();
        let mut view = View::new(&Ledger::default(), &mut out, false).unwrap();
        for event in [PosEvent::Up, PosEvent::Up, PosEvent::Down] {
            view.heard(&event).unwrap();
            view.draw(40, 24).unwrap();
        }
        drop(view);
        assert_eq!(String::from_utf8(out).unwrap(), "link: up\nlink: down\n");
    }
}
