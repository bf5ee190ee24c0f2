// Learning: a question, one step after the other. The page knows no more of the solution than its learner has seen.

import { ask, isExported, learn } from "./api.js";
import { fill, h, say, verbatim } from "./dom.js";
import { setKeys } from "./keys.js";
import { change, to } from "./route.js";

export async function learnPage(main, words, signal) {
  if (isExported()) throw new Error("Lessons are given on a live page: rstar view --model pocket.");
  const { models } = await ask("learn");
  if (!models.length) {
    fill(main, h("h1", null, "Learn"), h("p", null, "No model teaches on this page. Start it with one: ", h("code", null, "rstar view --model pocket"), "."));
    return;
  }
  let lesson = words.lesson ? await learn({ do: "state", lesson: words.lesson }).catch(() => null) : null;
  if (!lesson && words.question) lesson = await beginLesson(words.question, words.model);
  if (signal.aborted) return;
  if (lesson) return lessonPage(main, lesson, signal);
  beginPage(main, models);
}

async function beginLesson(question, model) {
  const lesson = await learn({ do: "begin", question, ...(model ? { model } : {}) });
  change({ question, lesson: lesson.lesson });
  return lesson;
}

function beginPage(main, models) {
  const question = h("textarea", { id: "question", rows: 5, "aria-label": "question", placeholder: "A tank gains 30 liters a minute and loses 7. Bo waits 6 minutes. How many liters is that?" });
  const model = h("select", { "aria-label": "model" }, models.map((name) => h("option", { value: name }, name)));
  const told = h("p", { role: "status" });
  const button = h("button", { type: "button", id: "begin", class: "main", onclick: send }, "Begin");
  async function send() {
    if (!question.value.trim()) return question.focus();
    button.disabled = true;
    fill(told, "The question is being solved first …");
    location.hash = to("learn", { question: question.value.trim(), model: model.value });
  }
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  });
  fill(main, h("h1", null, "Learn"), h("p", null, "Write a question. You get hints and steps, one at a time, and your own steps are judged by running them."),
    question, h("p", { class: "tools" }, button, models.length > 1 ? h("label", null, "taught by ", model) : h("span", { class: "muted" }, `taught by ${models[0]}`)), told);
  setKeys([{ key: "i", what: "write", act: () => question.focus() }]);
}

function lessonPage(main, first, signal) {
  const text = h("textarea", { id: "own", rows: 2, spellcheck: "false", "aria-label": "your next step", placeholder: "a number, a formula, a line of Python" });
  const steps = h("div", null), said = h("div", { class: "said", role: "log", "aria-label": "what was said" }), progress = h("p", { class: "muted" }), next = h("div", null);
  const button = (id, name, act) => h("button", { type: "button", id, onclick: act }, name);
  const check = button("check", "Check", () => send({ do: "judge", text: text.value }));
  const answer = button("answer", "Answer", askAnswer), hint = button("hint", "Hint", () => send({ do: "hint" })), step = button("step", "Do a step for me", () => send({ do: "step" })), again = button("again", "Begin again", () => send({ do: "again" }));
  check.className = "main";
  let isAsked = false, lesson = first;
  function askAnswer() {
    if (isAsked) return send({ do: "answer" });
    isAsked = true;
    fill(answer, "Show the answer?");
    say("Press once more to see the answer.");
  }
  async function send(what) {
    for (const b of [check, hint, step, answer, again]) b.disabled = true;
    try {
      lesson = await learn({ ...what, lesson: lesson.lesson });
      if (signal.aborted) return;
      if (what.do === "judge" && lesson.said.at(-1)?.accepted) text.value = "";
      show();
      say(lesson.said.at(-1)?.text ?? "From the beginning.");
    } catch (error) {
      fill(next, h("p", { class: "bad", role: "alert" }, error.message));
    }
    for (const b of [check, hint, step, answer, again]) b.disabled = false;
    isAsked = false;
    fill(answer, "Answer");
    show.buttons();
  }
  function show() {
    const { state } = lesson;
    fill(progress, state.num_steps ? `${state.steps.length} of ${state.num_steps} steps` : "");
    fill(steps, state.steps.length ? h("ol", { class: "steps" }, state.steps.map(stepDone)) : h("p", { class: "muted" }, "No step is done yet."));
    fill(said, lesson.said.map(saidOnce));
    said.scrollTop = said.scrollHeight;
    fill(next, state.is_over ? h("p", { class: "good answer", role: "status" }, `The answer is ${state.answer}.`) : null);
    show.buttons();
  }
  show.buttons = () => {
    for (const b of [check, hint, step, answer]) b.disabled = lesson.state.is_over;
    text.disabled = lesson.state.is_over;
  };
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    if (!check.disabled) check.click();
  });
  fill(main, h("h1", null, "Learn"), verbatim(first.state.question, "text", "question"), h("p", { class: first.state.sure ? "trust" : "trust doubt" }, first.state.trust),
    h("div", { class: "lesson" },
      h("section", { "aria-label": "your steps" }, h("h2", null, "Your steps"), progress, steps),
      h("section", { "aria-label": "next step" }, h("h2", null, "Next step"), text, h("p", { class: "tools" }, check, hint, step, answer, again), next, said)));
  show();
  setKeys([
    { key: "i", what: "write your next step", act: () => text.focus() },
    { key: "h", what: "a hint", act: () => hint.click() },
    { key: "s", what: "do a step for me", act: () => step.click() },
    { key: "a", what: "the answer; asked for twice", act: () => answer.click() },
    { key: "x", what: "begin this question again", act: () => again.click() },
    { key: "n", what: "another question", act: () => (location.hash = to("learn")) },
  ]);
}

function stepDone(step) {
  return h("li", null, h("p", null, step.words, h("span", { class: "muted" }, step.by === "tutor" ? " (done for you)" : "")), verbatim(step.code, "code", "code of the step"),
    step.value === null ? h("p", { class: "muted" }, "What it gives is yours to find.") : verbatim(step.value, "output", "value of the step"));
}

function saidOnce(one) {
  if (one.by === "learner") return h("div", { class: "own" }, verbatim(one.text || "(nothing)", "code", "what you wrote"));
  const kind = one.accepted === undefined ? "told" : one.accepted ? "good" : "bad";
  return h("div", { class: `told ${kind}` }, one.accepted === undefined ? null : one.accepted ? "✓ " : "✗ ", one.text, one.step ? shownStep(one.step) : null);
}

function shownStep(step) {
  return h("div", null, step.words ? h("p", null, step.words) : null, verbatim(step.code, "code", "code of the step"), step.value === null ? h("p", { class: "muted" }, "What it gives is yours to find.") : null);
}
