//! Where `log` goes: to the journal when systemd started us, else to stderr.

use log::LevelFilter;

/// Installs the process's logger once; a second call changes only the level.
pub fn install(level: LevelFilter) {
    log::set_max_level(level);
    if systemd_journal_logger::connected_to_journal()
        && let Ok(journal) = systemd_journal_logger::JournalLog::new()
        && journal.with_syslog_identifier("till".into()).install().is_ok()
    {
        log::set_max_level(level);
        return;
    }
    // The filter stands wide open and `set_max_level` decides, so that SIGHUP can change it.
    let _ =
        env_logger::Builder::new().filter_level(LevelFilter::Trace).filter_module("rten", LevelFilter::Warn).try_init();
    log::set_max_level(level);
}
