//! Manual pages and completions of shells, made from the table of commands.

use std::io;

use clap::Command;
use clap_complete::Shell;

/// A page for the command itself and one for each of its commands that is not hidden, by the path in a prefix.
pub(super) fn manual(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, "forebay", &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let mut page = Vec::new();
    // Pages name each other by their whole names, as `man` finds them.
    clap_mangen::Man::new(command.clone().name(name.to_owned())).render(&mut page)?;
    pages.push((format!("share/man/man1/{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}

/// What bash, zsh and fish complete the command with, where each of them looks for it.
pub(super) fn completions(command: &Command) -> Vec<(String, Vec<u8>)> {
    // The generators know no hidden commands.
    let shown: Vec<Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    let mut command = Command::new("forebay").args(command.get_arguments().cloned()).subcommands(shown);
    let places = [
        (Shell::Bash, "share/bash-completion/completions/forebay"),
        (Shell::Zsh, "share/zsh/site-functions/_forebay"),
        (Shell::Fish, "share/fish/vendor_completions.d/forebay.fish"),
    ];
    let made = places.map(|(shell, path)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, "forebay", &mut text);
        (path.to_owned(), text)
    });
    made.into()
}
