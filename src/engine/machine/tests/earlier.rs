//! What one step's answers do to the others: regressed, excused, and never proven by it.

use super::*;

/// Step 3 asks "shared.before" of step 2 again, and "own.after" as step 1 does.
fn asking_again() -> Machine {
    let line = |check: &str| CheckLine { check: check.into(), level: Level::Required, parameters: toml::Table::new() };
    let mut steps: Vec<Prepared> = StepId::all().map(step).collect();
    for prepared in &mut steps {
        prepared.step.checks = vec![line(&format!("{}.before", prepared.step.id)), line("three.after")];
    }
    steps[1].step.checks.push(line("shared.before"));
    steps[2].step.checks.push(CheckLine { level: Level::Advised, ..line("shared.before") });
    Machine::new("run".into(), steps, Progress::default(), Vec::new())
}

#[test]
fn what_a_later_step_sees_broken_is_regressed_where_it_was_proven() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let failing = |name: &'static str| {
        move |id: &CheckId| if id.0 == name { CheckOutcome::fail("404", "add it") } else { CheckOutcome::Pass }
    };
    for (name, states) in [
        ("shared.before", [StepState::Proven, StepState::Regressed]),
        // Other users, another ramp: it says nothing of the steps below.
        ("three.after", [StepState::Proven, StepState::Proven]),
        ("3.before", [StepState::Proven, StepState::Proven]),
    ] {
        let mut machine = asking_again();
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        let events = play(&mut machine, third, &failing(name), good());
        assert_eq!([first, second].map(|step| machine.state(step, now(9))), states, "{name}");
        // The step that was asked for is judged last.
        assert!(matches!(events.last().unwrap().kind, EventKind::StepJudged { step, .. } if step == third), "{name}");
        let regressed = &machine.progress().steps[&second];
        assert_eq!(regressed.held_by == ["shared.before: fail, 404"], name == "shared.before");
    }
    // What nobody could look at is not broken.
    let mut machine = asking_again();
    let unknown = |_: &CheckId| CheckOutcome::Unknown(Missing::new("unreachable", "start it"));
    play(&mut machine, first, &|_| CheckOutcome::Pass, good());
    play(&mut machine, second, &|_| CheckOutcome::Pass, good());
    play(&mut machine, third, &unknown, good());
    assert_eq!(machine.state(second, now(9)), StepState::Proven);
}

#[test]
fn what_fails_once_is_asked_again_before_it_breaks_a_proof() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    for (check, failures, asked, state) in [
        ("shared.before", 1, 2, StepState::Proven),
        ("shared.before", 2, 2, StepState::Regressed),
        // Nobody else stands on it.
        ("3.before", 1, 1, StepState::Proven),
    ] {
        let mut machine = asking_again();
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        let seen = std::cell::Cell::new(0);
        let say = |id: &CheckId| {
            seen.set(seen.get() + u32::from(id.0 == check));
            let fails = id.0 == check && seen.get() <= failures;
            if fails { CheckOutcome::fail("slow", "look") } else { CheckOutcome::Pass }
        };
        let events = play(&mut machine, third, &say, good());
        assert_eq!((seen.get(), machine.state(second, now(9))), (asked, state), "{check} {failures}");
        assert_eq!(judged(&events).map(StepState::unlocks_next), Some(check == "shared.before" && failures == 1));
    }
}

fn waived(step: StepId, check: Option<&str>) -> Command {
    let check = check.map(CheckId::from);
    Command::Waive(Waiver { step, check, reason: "none here".into(), owner: "me".into(), until: day(now(86_400)) })
}

#[test]
fn what_an_earlier_step_was_excused_from_holds_no_later_one() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let failed = || CheckOutcome::fail("404", "b");
    let unknown = || CheckOutcome::Unknown(Missing::new("no uploads", "name them"));
    for (answer, waivers, state) in [
        (failed(), vec![waived(second, Some("shared.before"))], StepState::Proven),
        (unknown(), vec![waived(second, Some("shared.before"))], StepState::Proven),
        // Waived as a whole: what cannot be known is not asked again, and what is wrong is wrong.
        (unknown(), vec![waived(second, None)], StepState::Proven),
        (failed(), vec![waived(second, None)], StepState::Held),
        (unknown(), vec![waived(first, None), waived(second, Some("2.before"))], StepState::Held),
        (unknown(), vec![], StepState::Held),
    ] {
        let mut machine = asking_again();
        machine.steps[2].step.checks[2].level = Level::Required;
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        for waiver in waivers.clone() {
            machine.on(now(5), Input::Command(waiver));
        }
        let say = |id: &CheckId| if id.0 == "shared.before" { answer.clone() } else { CheckOutcome::Pass };
        let events = play(&mut machine, third, &say, good());
        assert_eq!(judged(&events), Some(state), "{answer:?} {waivers:?}");
        if state == StepState::Proven {
            let said = &machine.progress().steps[&third].sentence;
            assert!(said.contains("with shared.before waived"), "{said}");
            // Looked at again where it is waived, it breaks nothing.
            for step in [second, third] {
                machine.on(now(6), Input::Command(Command::Verify(step)));
                machine.on(now(6), Input::Command(Command::Stop));
                play(&mut machine, step, &say, good());
                assert_ne!(machine.state(third, now(9)), StepState::Regressed, "{answer:?} {waivers:?} at {step}");
            }
        }
    }
}

#[test]
fn a_step_that_shows_an_earlier_one_broken_proves_nothing_itself() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let mut machine = asking_again();
    machine.steps[2].step.checks[2].level = Level::Required;
    play(&mut machine, first, &|_| CheckOutcome::Pass, good());
    play(&mut machine, second, &|_| CheckOutcome::Pass, good());
    machine.on(now(5), Input::Command(waived(third, Some("shared.before"))));
    let say = |id: &CheckId| if id.0 == "shared.before" { CheckOutcome::fail("404", "b") } else { CheckOutcome::Pass };
    assert_eq!(judged(&play(&mut machine, third, &say, good())), Some(StepState::Held));
    let record = &machine.progress().steps[&second];
    assert_eq!((record.state, record.users), (StepState::Regressed, Some(10)), "with what was last measured");
}
