//! The first pass: prompts opened, golden files validated, every selected case rendered in both arms, and from that the
//! identity of what is tested.

use super::calibration::JudgeRoles;
use super::fingerprint::{self, FingerprintInputs, case_digest, checks_digest};
use super::questions::{Identities, QuestionDigests};
use super::target::Encoders;
use super::versions::{Version, Versions};
use crate::dataset::{self, Dataset};
use crate::domain::{
    ArgProblem, Case, CheckRules, InputDigests, Place, Problem, Problems, Request, Sequential, Step, digest, hex,
};
use crate::error::Error;
use crate::gate::power::Sizes;
use crate::plan::{Plan, Schedule, ScheduleBuilder, Selection};
use crate::prompt::variables::Variable;
use crate::provider::RequestEncoder;
use crate::scoring;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use time::Date;

#[derive(Debug)]
pub(crate) struct Survey {
    /// The files, for the passes to come.
    pub(crate) dataset: Dataset,
    pub(crate) selected: u64,
    /// How much the selected cases can tell.
    pub(crate) sizes: Sizes,
    /// Must-pass cases that are asked.
    pub(crate) critical: u64,
    /// Both arms render the same requests.
    pub(crate) identical: bool,
    /// Identity of what is tested.
    pub(crate) key: [u8; 32],
    /// What makes looks ones at the same.
    pub(crate) identities: Identities,
    /// Digest of the requests alone, whoever answers them.
    pub(crate) requests: [u8; 32],
    /// The judges that checks of selected cases name.
    pub(crate) judges: BTreeSet<String>,
    /// The models of embeddings that they name.
    pub(crate) embedders: BTreeSet<String>,
    /// Which case is looked at when; `None` where a run looks only at its end.
    pub(crate) schedule: Option<Schedule>,
    /// How judges decide selected cases, and which labels there are for them.
    pub(crate) judge_roles: JudgeRoles,
    pub(crate) warnings: Vec<Problem>,
}

pub(crate) struct SurveyScope<'a> {
    pub(crate) golden: &'a [PathBuf],
    pub(crate) selection: &'a Selection,
    pub(crate) rules: &'a dyn CheckRules,
    /// The target's identity.
    pub(crate) target: &'a str,
    /// The service, however it is asked.
    pub(crate) service: &'a str,
    pub(crate) encoders: Encoders,
    /// Recorded answers are looked up by the name of the prompt, which belongs to the key then.
    pub(crate) recorded: bool,
    /// Two arms that render the same requests count as the same prompt.
    pub(crate) may_be_identical: bool,
    /// Spread the cases over looks.
    pub(crate) sequential: Sequential,
    /// The margin, where a unit could be as heavy as it.
    pub(crate) margin: Option<f64>,
    /// Models retire.
    pub(crate) today: Date,
}

/// Validates everything and digests what is selected.
pub(crate) fn survey(scope: &SurveyScope<'_>, versions: &Versions) -> Result<Survey, Error> {
    let mut problems = Problems::default();
    let mut doubts = Vec::new();
    for (arm, version) in versions.arms() {
        let (refused, doubtful) = settings(version, scope.encoders.of(arm).as_ref(), scope.today);
        // A prompt that is compared with itself has its mistakes once.
        for problem in refused {
            if !problems.iter().any(|told| *told == problem) {
                problems.push(problem);
            }
        }
        for doubt in doubtful {
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
    }
    let mut walk = scope.selection.walk();
    let mut pass = SurveyPass::new(versions, scope);
    let dataset = dataset::survey(scope.golden, scope.rules, &mut |case, problems| {
        let selected = walk.selects(case);
        pass.case(case, selected, problems);
    });
    let dataset = match dataset {
        Ok(dataset) => dataset,
        Err(found) => {
            problems.append(found);
            return Err(problems.into());
        }
    };
    problems.extend(walk.unknown());
    if dataset.total > 0 {
        problems.extend(pass.unsupplied());
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    if walk.selected() == 0 {
        let problem = if dataset.total == 0 {
            let paths: Vec<String> = scope.golden.iter().map(|path| path.display().to_string()).collect();
            Problem::new(format!("no golden case in {}", paths.join(", ")))
                .hint("write cases as CSV, JSONL, JSON or YAML; see the README")
        } else {
            Problem::new(format!("none of the {} golden cases is selected", dataset.total))
                .hint("check --case, --tag, --limit and --shard")
        };
        return Err(Error::Nothing(problem));
    }
    // Only the whole dataset can promote.
    let margin = scope.margin.filter(|_| !pass.identical && walk.selected() == dataset.total);
    if let Some(dominating) = margin.and_then(|margin| pass.weighed.dominating(margin)) {
        problems.push(dominating);
        return Err(problems.into());
    }
    let mut survey = pass.finish(dataset, walk.selected());
    doubts.append(&mut survey.warnings);
    survey.warnings = doubts;
    Ok(survey)
}

/// Settings of a version that the service would refuse with every request, and those that it would not heed.
fn settings(version: &Version, encoder: &dyn RequestEncoder, today: Date) -> (Vec<Problem>, Vec<Problem>) {
    let Version { prompt, info } = version;
    let place = |path: &[Step]| match path {
        // The model may come from an option, and then stands nowhere.
        [Step::Key(key)] if key == "model" && prompt.model.as_ref() != Some(&info.model) => {
            Place::file(info.path.as_str())
        }
        path => prompt.place_of(path),
    };
    let problem = |found: ArgProblem| Problem {
        place: Some(place(&found.path)),
        message: found.message,
        expected: found.expected,
        hint: found.hint,
    };
    if let Some(message) = encoder.model_problem(&info.model) {
        let found = ArgProblem::new(message).inside(Step::key("model"));
        return (vec![problem(found)], Vec::new());
    }
    let found = encoder.review(&prompt.frame(&info.model), today);
    (found.refused.into_iter().map(problem).collect(), found.doubtful.into_iter().map(problem).collect())
}

/// What one walk over the dataset gathers.
struct SurveyPass<'a> {
    versions: &'a Versions,
    service: &'a str,
    encoders: Encoders,
    recorded: bool,
    /// Per version (baseline first) and variable: some case supplies it; first case that does not.
    supplied: Vec<Vec<VariableSupply>>,
    weighed: WeightSums,
    critical: u64,
    identical: bool,
    key: Sha256,
    cases: Sha256,
    requests: Sha256,
    questions: QuestionDigests,
    /// The files that cases came from, as shown.
    files: BTreeSet<Arc<str>>,
    judges: BTreeSet<String>,
    embedders: BTreeSet<String>,
    judge_roles: JudgeRoles,
    spreading: Option<ScheduleBuilder>,
}

#[derive(Clone, Debug, Default)]
struct VariableSupply {
    somewhere: bool,
    missing: u64,
    first_missing: Option<String>,
}

/// Weights of the selected cases, and of their clusters. Memory: about 100 bytes a cluster.
#[derive(Debug, Default)]
struct WeightSums {
    cases: u64,
    weights: BTreeMap<u64, u64>,
    /// The heaviest case that is in no cluster.
    heaviest: Option<(u64, Place)>,
    /// Cases that are in no cluster, by weight.
    alone: BTreeMap<u64, u64>,
    /// Weight and cases of a cluster, and where its first case stands.
    clusters: HashMap<Arc<str>, (u64, u32, Place)>,
}

impl WeightSums {
    fn add(&mut self, case: &Case) {
        self.cases += 1;
        // What weighs nothing tells nothing.
        let weight = u64::from(case.weight);
        if weight == 0 {
            return;
        }
        *self.weights.entry(weight).or_default() += 1;
        match &case.cluster {
            Some(cluster) => {
                let entry = self.clusters.entry(Arc::clone(cluster));
                let (size, cases, _) = entry.or_insert_with(|| (0, 0, case.place.clone()));
                *size += weight;
                *cases += 1;
            }
            None => {
                *self.alone.entry(weight).or_default() += 1;
                if self.heaviest.as_ref().is_none_or(|(heaviest, _)| *heaviest < weight) {
                    self.heaviest = Some((weight, case.place.clone()));
                }
            }
        }
    }

    fn sizes(&self) -> Sizes {
        let mut units: BTreeMap<(u64, u32), u64> = self.alone.iter().map(|(weight, n)| ((*weight, 1), *n)).collect();
        for (size, cases, _) in self.clusters.values() {
            *units.entry((*size, *cases)).or_default() += 1;
        }
        Sizes { cases: self.cases, weights: self.weights.clone(), units, clustered: !self.clusters.is_empty() }
    }

    /// The problem of a unit that alone can be as much as the margin.
    fn dominating(&self, margin: f64) -> Option<Problem> {
        let (size, share) = self.sizes().dominating(margin)?;
        let cluster = self.clusters.iter().filter(|(_, unit)| unit.0 == size).min_by_key(|(name, _)| Arc::clone(name));
        let (what, place) = match (cluster, &self.heaviest) {
            (Some((name, (.., place))), _) => (format!("the cluster \"{name}\""), place.clone()),
            (None, Some((_, place))) => ("this case".to_owned(), place.clone()),
            (None, None) => return None,
        };
        let percent = |share: f64| format!("{:.1}%", share * 100.0);
        Some(
            Problem::at(place, format!("{what} has {} of the weight of all cases", percent(share)))
                .expected(format!("at most {}, half the margin, for what is more than twice as heavy as the mean", percent(margin / 2.0)))
                .hint("split it, lower its weight, add cases, or allow a larger margin; --estimand dataset decides about exactly these cases"),
        )
    }
}

impl<'a> SurveyPass<'a> {
    fn new(versions: &'a Versions, scope: &SurveyScope<'a>) -> SurveyPass<'a> {
        let mut key = Sha256::new();
        key.update(b"promptgate.key/1");
        key.update(scope.target.as_bytes());
        SurveyPass {
            versions,
            service: scope.service,
            encoders: scope.encoders.clone(),
            recorded: scope.recorded,
            supplied: versions
                .all()
                .map(|version| vec![VariableSupply::default(); version.prompt.variables().len()])
                .collect(),
            weighed: WeightSums::default(),
            critical: 0,
            identical: versions.baseline.is_some() && scope.may_be_identical,
            key,
            cases: Sha256::new_with_prefix(b"promptgate.cases/1"),
            requests: Sha256::new_with_prefix(b"promptgate.requests/1"),
            questions: QuestionDigests::default(),
            files: BTreeSet::new(),
            judges: BTreeSet::new(),
            embedders: BTreeSet::new(),
            judge_roles: JudgeRoles::default(),
            spreading: (scope.sequential != Sequential::Off).then(ScheduleBuilder::default),
        }
    }

    fn case(&mut self, case: &Case, selected: bool, problems: &mut Problems) {
        if !self.files.contains(&case.place.file) {
            self.files.insert(Arc::clone(&case.place.file));
        }
        for (version, supplied) in self.versions.all().zip(&mut self.supplied) {
            for (variable, supply) in version.prompt.variables().iter().zip(supplied) {
                if case.vars.contains_key(&variable.name) {
                    supply.somewhere = true;
                } else {
                    supply.missing += 1;
                    supply.first_missing.get_or_insert_with(|| case.place.to_string());
                }
            }
            if let Err(message) = version.prompt.check_vars(&case.vars) {
                problems.push(
                    Problem::at(
                        case.place.clone(),
                        format!("the vars don't fit the prompt `{}`: {message}", version.info.name),
                    )
                    .hint(format!("see input.schema in {}", version.info.path)),
                );
                return;
            }
        }
        if selected {
            self.judges.extend(scoring::judges_named(case));
            self.embedders.extend(scoring::embeddings_named(case));
        }
        problems.extend(self.judge_roles.note(case, selected));
        if selected && let Err(problem) = self.render(case) {
            problems.push(problem);
        }
    }

    fn render(&mut self, case: &Case) -> Result<(), Problem> {
        let (baseline_encoder, candidate_encoder) = (self.encoders.baseline.as_ref(), self.encoders.candidate.as_ref());
        let render = |version: &Version, encoder: &dyn RequestEncoder| {
            let request = version.render(case)?;
            match encoder.content_problem(&request) {
                Some(problem) => Err(Problem::at(case.place.clone(), format!("in `{}`: {problem}", version.info.name))),
                None => Ok(request),
            }
        };
        let candidate = render(&self.versions.candidate, candidate_encoder)?;
        let baseline = self.versions.baseline.as_ref();
        let baseline = baseline.map(|version| render(version, baseline_encoder)).transpose()?;
        let mut add = |request: &Request, encoder: &dyn RequestEncoder| {
            let body = encoder.body(request);
            for hash in [&mut self.key, &mut self.requests] {
                hash.update((body.len() as u64).to_le_bytes());
                hash.update(&body);
                hash.update(request.model.as_bytes());
            }
            body
        };
        let body = add(&candidate, candidate_encoder);
        let other = baseline.map(|baseline| (add(&baseline, baseline_encoder), baseline.model));
        if let Some((other, model)) = &other {
            self.identical &= body == *other && *model == candidate.model;
        }
        let other = other.as_ref().map(|(body, model)| (body.as_slice(), model.as_str()));
        self.questions.add(self.service, case, other, (&body, &candidate.model));
        self.key.update(case.id.as_str().as_bytes());
        self.requests.update(case.id.as_str().as_bytes());
        self.cases.update(case_digest(case, &checks_digest(case)));
        self.critical += u64::from(case.critical);
        self.weighed.add(case);
        if let Some(spreading) = &mut self.spreading {
            spreading.case(case);
        }
        Ok(())
    }

    /// The variables of each version, with the cases that supply them.
    fn supplies(&self) -> impl Iterator<Item = (&Variable, &VariableSupply)> {
        let versions = self.versions.all().zip(&self.supplied);
        versions.flat_map(|(version, supplied)| version.prompt.variables().iter().zip(supplied))
    }

    /// Variables that no case supplies are mistakes.
    fn unsupplied(&self) -> impl Iterator<Item = Problem> {
        let unsupplied = self.supplies().filter(|(variable, supply)| variable.expected && !supply.somewhere);
        unsupplied.map(|(variable, _)| {
            Problem::at(variable.place.clone(), format!("no case supplies the variable `{}`", variable.name))
                .expected("every variable of the template in the `vars` of the golden cases, or in input.default")
                .hint("mistyped? optional variables are declared with `?` in input.schema, or used inside {{#if}}")
        })
    }

    /// Variables that some cases supply and others do not are worth a word.
    fn partly_supplied(&self) -> impl Iterator<Item = Problem> {
        let partly = self.supplies().filter(|(variable, supply)| variable.required && supply.missing > 0);
        partly.map(|(variable, supply)| {
            let VariableSupply { missing, first_missing, .. } = supply;
            let first = first_missing.as_deref().unwrap_or_default();
            let name = &variable.name;
            Problem::at(
                variable.place.clone(),
                format!("{missing} cases have no `{name}`, which renders as nothing there (the first is {first})"),
            )
        })
    }

    /// A file without any case may be a truncated one.
    fn empty_files<'d>(&'d self, dataset: &'d Dataset) -> impl Iterator<Item = Problem> + 'd {
        let empty = dataset.files.iter().filter(|file| !self.files.contains(&file.shown));
        empty.map(|file| Problem::at(Place::file(Arc::clone(&file.shown)), "this golden file has no case"))
    }

    fn finish(self, dataset: Dataset, selected: u64) -> Survey {
        let warnings = self.partly_supplied().chain(self.empty_files(&dataset)).collect();
        let mut key = self.key;
        key.update(dataset.sha256.as_bytes());
        for version in self.versions.all().filter(|_| self.recorded) {
            key.update(version.info.name.as_bytes());
        }
        let (requests, cases): ([u8; 32], [u8; 32]) = (self.requests.finalize().into(), self.cases.finalize().into());
        // Nobody chooses the seed, and each prompt has an order of its own.
        let seed = digest([b"promptgate.looks/1".as_slice(), &cases, &requests]);
        let spreading = self.spreading.filter(|_| !self.identical);
        Survey {
            dataset,
            selected,
            schedule: spreading.map(|spreading| spreading.schedule(&seed)),
            identities: self.questions.finish(),
            judges: self.judges,
            embedders: self.embedders,
            judge_roles: self.judge_roles,
            sizes: self.weighed.sizes(),
            critical: self.critical,
            identical: self.identical,
            key: key.finalize().into(),
            requests,
            warnings,
        }
    }
}

impl Survey {
    /// Digests of what decides besides prompts, dataset and policy.
    pub(crate) fn input_digests(&self, inputs: &FingerprintInputs<'_>) -> Result<InputDigests, Problems> {
        Ok(InputDigests {
            identical: self.identical,
            requests_sha256: hex(self.requests),
            judges_sha256: fingerprint::judges_digest(&self.judges, inputs)?,
            commands_sha256: fingerprint::commands_digest(inputs),
        })
    }

    /// Analyses of a run, the final one included.
    pub(crate) fn looks(&self) -> usize {
        self.schedule.as_ref().map_or(1, Schedule::looks)
    }

    /// Shares of the cases at the first looks, as a verdict records them; none where a run is analyzed only at its end.
    pub(crate) fn shares(&self, looks: usize) -> Vec<f64> {
        let shares = self.schedule.as_ref().map(|schedule| schedule.shares(looks));
        shares.unwrap_or_default().to_vec()
    }

    /// Answers that will be asked for or looked up, `least` for a must-pass case of the candidate.
    pub(crate) fn answers(&self, plan: &Plan, least: u32) -> u64 {
        let further = self.critical * u64::from(least.saturating_sub(plan.repeats));
        further + if self.identical { self.critical * u64::from(plan.repeats) } else { self.selected * plan.per_case() }
    }
}
