//! Keys of a terminal, read one by one without waiting: p pays, c cancels, a acknowledges, m asks who
//! the shopper is, y and n answer whether it is them, q quits. The terminal is put back
//! as it was on drop. Cursor and function keys send letters behind an escape (right is `ESC [ C`, F1 is
//! `ESC O P`): none of them may ever pay or cancel.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::pos::Press;

/// What a person pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Pay or cancel the offer that stands.
    Press(Press),
    /// Somebody has seen the attention and comes.
    Acknowledge,
    /// The shopper asks to be recognised.
    Recognise,
    /// Yes, that is the shopper, or no.
    ItIsMe(bool),
    /// End the POS.
    Quit,
}

/// Bytes of a terminal to keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decoder {
    /// The next byte is a key.
    #[default]
    Ground,
    /// An escape came.
    Escape,
    /// Inside `ESC [`: until a final byte.
    Sequence,
    /// After `ESC O`: one byte more.
    Function,
}

impl Decoder {
    /// Takes one byte.
    pub fn byte(&mut self, byte: u8) -> Option<Key> {
        let (next, key) = match (*self, byte) {
            (_, 0x1b) => (Self::Escape, None),
            (Self::Escape, b'[') => (Self::Sequence, None),
            (Self::Escape, b'O') => (Self::Function, None),
            (Self::Sequence, 0x20..=0x3f) => (Self::Sequence, None),
            (Self::Escape | Self::Sequence | Self::Function, _) => (Self::Ground, None),
            (Self::Ground, b'p' | b'P') => (Self::Ground, Some(Key::Press(Press::Pay))),
            (Self::Ground, b'c' | b'C') => (Self::Ground, Some(Key::Press(Press::Cancel))),
            (Self::Ground, b'a' | b'A') => (Self::Ground, Some(Key::Acknowledge)),
            (Self::Ground, b'm' | b'M') => (Self::Ground, Some(Key::Recognise)),
            (Self::Ground, b'y' | b'Y') => (Self::Ground, Some(Key::ItIsMe(true))),
            (Self::Ground, b'n' | b'N') => (Self::Ground, Some(Key::ItIsMe(false))),
            (Self::Ground, b'q' | b'Q' | 0x03) => (Self::Ground, Some(Key::Quit)),
            (Self::Ground, _) => (Self::Ground, None),
        };
        *self = next;
        key
    }
}

/// A terminal whose keys come at once and are not echoed.
pub struct Keyboard {
    terminal: OwnedFd,
    before: Termios,
    decoder: Decoder,
}

impl Keyboard {
    /// Takes over `terminal`, or `None` if it is none or belongs to another job (started with `&`).
    ///
    /// # Errors
    /// When the terminal refuses its settings.
    pub fn open(terminal: impl AsFd) -> io::Result<Option<Self>> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        // A background job that changes its terminal is stopped by the kernel.
        let behind = tcgetpgrp(&terminal).is_ok_and(|group| group != rustix::process::getpgrp());
        if !isatty(&terminal) || behind {
            return Ok(None);
        }
        let before = tcgetattr(&terminal)?;
        let mut now = before.clone();
        // Signals stay: Ctrl-C is an orderly end through the signal handler.
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        now.special_codes[SpecialCodeIndex::VMIN] = 0;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Flush: a key pressed before the offer was on the screen pays nothing.
        tcsetattr(&terminal, OptionalActions::Flush, &now)?;
        Ok(Some(Self { terminal, before, decoder: Decoder::default() }))
    }

    /// Hands on the keys that were pressed since; does not wait.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn read(&mut self, sink: &mut dyn FnMut(Key)) -> io::Result<()> {
        let mut bytes = [0; 64];
        let count = match rustix::io::read(&self.terminal, &mut bytes) {
            Ok(count) => count,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        bytes.iter().take(count).filter_map(|byte| self.decoder.byte(*byte)).for_each(sink);
        Ok(())
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of a terminal; 80 x 24 when it does not say.
pub fn size(terminal: impl AsFd) -> (usize, usize) {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.byte(*byte)).collect()
    }

    #[test]
    fn letters_are_keys_but_cursor_and_function_keys_are_not() {
        assert_eq!(keys(b"pC aq"), [Key::Press(Press::Pay), Key::Press(Press::Cancel), Key::Acknowledge, Key::Quit]);
        assert_eq!(keys(b"\x1b[C\x1b[1;5C\x1bOP\x1bOQ\x1bp"), []);
        assert_eq!(keys(b"\x1b\x1b[Cp"), [Key::Press(Press::Pay)]);
    }

    proptest! {
        #[test]
        fn a_sequence_of_any_parameters_is_no_key(parameters in proptest::collection::vec(0x20u8..0x40, 0..9), last in 0x40u8..0x7f) {
            let mut bytes = b"\x1b[".to_vec();
            bytes.extend(parameters);
            bytes.push(last);
            prop_assert_eq!(keys(&bytes), []);
            bytes.push(b'p');
            prop_assert_eq!(keys(&bytes), [Key::Press(Press::Pay)]);
        }
    }

    #[test]
    fn the_terminal_is_put_back_and_keys_come_without_a_line_end() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            rustix::fs::open(name, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty())
                .unwrap();
        let modes = || tcgetattr(&slave).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ICANON | LocalModes::ECHO));

        let mut keyboard = Keyboard::open(&slave).unwrap().expect("a pty is a terminal");
        assert!(!modes().intersects(LocalModes::ICANON | LocalModes::ECHO));
        let mut pressed = Vec::new();
        keyboard.read(&mut |key| pressed.push(key)).unwrap();
        assert_eq!(pressed, [], "nothing pressed: no waiting");
        rustix::io::write(&master, b"p").unwrap();
        // The line discipline hands a byte on by a kernel worker: look until it is there.
        rustix::event::poll(&mut [rustix::event::PollFd::new(&slave, rustix::event::PollFlags::IN)], None).unwrap();
        keyboard.read(&mut |key| pressed.push(key)).unwrap();
        assert_eq!(pressed, [Key::Press(Press::Pay)]);
        drop(keyboard);
        assert_eq!(modes(), before);
    }

    #[test]
    fn what_is_no_terminal_has_no_keys() {
        let file = tempfile::tempfile().unwrap();
        assert!(Keyboard::open(&file).unwrap().is_none());
        assert_eq!(size(&file), (80, 24));
    }
}
