//! The `promptgate` binary: everything happens in the library.

fn main() -> std::process::ExitCode {
    promptgate::cli::main()
}
