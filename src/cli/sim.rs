//! `promptgate sim`.

use super::options::Sim;
use super::{say, signals};
use crate::error::Error;
use crate::model::{Problem, Problems};
use crate::settings::duration;
use crate::sim::{Faults, Settings, Simulator};

pub(super) fn sim(options: &Sim) -> Result<u8, Error> {
    let mut problems = Problems::default();
    let mut problem = |option: &str, message: String| problems.push(Problem::new(format!("--{option}: {message}")));
    let latency = if options.latency == "0ms" {
        Ok(Default::default())
    } else {
        duration(&options.latency)
    };
    let latency = latency
        .map_err(|message| problem("latency", message))
        .unwrap_or_default();
    let faults = options
        .fault
        .parse::<Faults>()
        .map_err(|error| problem("fault", error.to_string()))
        .unwrap_or_default();
    let noise = match options.noise.parse::<f64>() {
        Ok(noise) if (0.0..=1.0).contains(&noise) => noise,
        _ => {
            problem("noise", format!("`{}` is not a share from 0 to 1", options.noise));
            0.0
        }
    };
    problems.or(())?;
    let interrupt = signals::watch().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))?;
    let settings = Settings {
        latency,
        faults,
        seed: options.seed,
        noise,
        require_key: options.require_key,
    };
    let simulator = Simulator::start(options.port, settings).map_err(|error| {
        Problem::new(format!("port {} on this machine can't be used: {error}", options.port))
            .hint("another program may use it; give another --port, or 0 for a free one")
    })?;
    say(&format!("listening on {}", simulator.url()));
    let code = interrupt.wait();
    say(&format!(
        "{} requests; delays asked for cover {:.2} s",
        simulator.requests(),
        simulator.announced().as_secs_f64()
    ));
    Ok(code)
}
