#!/usr/bin/env python3
"""Drives a Gemini API with the official Python SDK, and says what worked: one line a check, exit code 1 on any failure.

    pip install google-genai
    cargo run --features emulator -- sim --port 8080 &
    python3 .ci/sdk.py http://127.0.0.1:8080

Meant for `promptgate sim`. Nothing in it is known to the simulator; what a check expects is what the SDK makes of the
service's own replies.
"""

import json
import os
import sys
import tempfile
import urllib.request

from google import genai
from google.genai import errors, types

MODEL = "gemini-3.8-flash"
EMBEDDER = "gemini-embedding-001"
SYSTEM = "Answer in one sentence. The zoo opens at nine. The lions sleep all day. The goats may be fed."

failed = []


def check(name, work):
    try:
        result = work()
    except Exception as error:  # noqa: BLE001  every way to fail is a failed check
        failed.append(name)
        print(f"FAIL  {name}: {type(error).__name__}: {error}")
    else:
        print(f"ok    {name}" + (f": {result}" if result else ""))


def same(got, want):
    assert got == want, f"got {got!r}, expected {want!r}"


def refused(code, work):
    try:
        work()
    except errors.APIError as error:
        same(error.code, code)
    else:
        raise AssertionError(f"expected an error {code}")


def config(**more):
    return types.GenerateContentConfig(system_instruction=SYSTEM, **more)


def generate(client):
    reply = client.models.generate_content(model=MODEL, contents="When does the zoo open?", config=config())
    same(reply.text, "The zoo opens at nine.")
    same(reply.candidates[0].finish_reason, types.FinishReason.STOP)
    same(reply.model_version, MODEL)
    usage = reply.usage_metadata
    same(usage.total_token_count, usage.prompt_token_count + usage.candidates_token_count)
    return f"{usage.total_token_count} tokens"


def generate_json(client):
    schema = {"type": "OBJECT", "properties": {"opens": {"type": "STRING"}}, "required": ["opens"]}
    reply = client.models.generate_content(
        model=MODEL,
        contents="When does the zoo open?",
        config=config(response_mime_type="application/json", response_schema=schema),
    )
    assert "opens" in json.loads(reply.text), reply.text


def call_function(client):
    declaration = types.FunctionDeclaration(
        name="order_status",
        description="Looks up the status of an order",
        parameters_json_schema={"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
    )
    reply = client.models.generate_content(
        model=MODEL,
        contents="What is the status of order A17?",
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declaration])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    [call] = reply.function_calls
    same((call.name, call.args), ("order_status", {"order": "A17"}))


def stream(client):
    long = "The zoo in the old park behind the station opens at nine in summer, at ten in winter, and never on Mondays."
    asked = {
        "model": MODEL,
        "contents": "When does the zoo open?",
        "config": types.GenerateContentConfig(system_instruction=f"Answer in one sentence. {long}"),
    }
    chunks = list(client.models.generate_content_stream(**asked))
    assert len(chunks) > 1, chunks
    same("".join(chunk.text or "" for chunk in chunks), client.models.generate_content(**asked).text)
    same(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP)
    return f"{len(chunks)} chunks"


def chat(client):
    talk = client.chats.create(model=MODEL, config=config())
    talk.send_message("When does the zoo open?")
    assert talk.send_message("And what do the lions do?").text
    same(len(talk.get_history()), 4)


def count(client):
    counted = client.models.count_tokens(model=MODEL, contents="How many tokens are these?")
    assert counted.total_tokens > 0
    return f"{counted.total_tokens} tokens"


def embed(client):
    texts = ["How do I get a refund for my shoes?", "I want my shoes refunded", "The lions sleep all day"]
    reply = client.models.embed_content(
        model=EMBEDDER, contents=texts, config=types.EmbedContentConfig(output_dimensionality=256)
    )
    vectors = [embedding.values for embedding in reply.embeddings]
    same([len(vector) for vector in vectors], [256, 256, 256])
    near, far = (sum(a * b for a, b in zip(vectors[0], other)) for other in vectors[1:])
    assert near > far + 0.2, (near, far)
    [one] = client.models.embed_content(model=EMBEDDER, contents="one").embeddings
    same(len(one.values), 3072)
    return f"near {near:.2f}, far {far:.2f}"


def models(client):
    names = [model.name for model in client.models.list()]
    assert f"models/{MODEL}" in names and f"models/{EMBEDDER}" in names, names
    same([model.name for model in client.models.list(config={"page_size": 2})], names)
    same(client.models.get(model=MODEL).name, f"models/{MODEL}")
    return f"{len(names)} models"


def finished(client, job):
    """The job, once it is done: the number of looks is the simulator's --batch-polls, so there is nothing to wait for."""
    for _ in range(100):
        job = client.batches.get(name=job.name)
        if job.done:
            return job
    raise AssertionError(f"still {job.state}")


def batch_inline(client):
    def request(question, **more):
        return types.InlinedRequest(
            contents=question, metadata={"key": question}, config=types.GenerateContentConfig(system_instruction=SYSTEM, **more)
        )

    job = client.batches.create(
        model=MODEL,
        src=[request("When does the zoo open?"), request("And the lions?", temperature=9.0)],
        config={"display_name": "inline"},
    )
    same(job.state, types.JobState.JOB_STATE_PENDING)
    job = finished(client, job)
    same(job.state, types.JobState.JOB_STATE_SUCCEEDED)
    good, bad = job.dest.inlined_responses
    same(good.response.text, "The zoo opens at nine.")
    same(bad.response, None)
    same(bad.error.code, 3)
    listed = {job.name: job for job in client.batches.list()}
    same(listed[job.name].display_name, "inline")
    client.batches.delete(name=job.name)
    refused(404, lambda: client.batches.get(name=job.name))


def batch_file(client):
    request = {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": [{"role": "user", "parts": [{"text": "When does the zoo open?"}]}],
    }
    rows = [{"key": "good", "request": request}, {"key": "bad", "request": {"contents": [], "banana": 1}}]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "requests.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        uploaded = client.files.upload(
            file=path, config=types.UploadFileConfig(display_name="requests", mime_type="jsonl")
        )
    job = finished(client, client.batches.create(model=MODEL, src=uploaded.name))
    same(job.state, types.JobState.JOB_STATE_SUCCEEDED)
    content = client.files.download(file=job.dest.file_name).decode()
    answers = {row["key"]: row for row in map(json.loads, content.splitlines())}
    same(answers["good"]["response"]["candidates"][0]["content"]["parts"][0]["text"], "The zoo opens at nine.")
    same(answers["bad"]["error"]["code"], 3)
    client.files.delete(name=uploaded.name)


def batch_cancel(client):
    request = types.InlinedRequest(contents="When does the zoo open?")
    job = client.batches.create(model=MODEL, src=[request])
    client.batches.cancel(name=job.name)
    same(client.batches.get(name=job.name).state, types.JobState.JOB_STATE_CANCELLED)


def files(client):
    content = b"The zoo opens at nine.\n" * 400_000
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zoo.txt")
        with open(path, "wb") as file:
            file.write(content)
        uploaded = client.files.upload(file=path, config={"display_name": "zoo"})
    same(uploaded.size_bytes, len(content))
    same(uploaded.state, types.FileState.ACTIVE)
    same(client.files.get(name=uploaded.name).display_name, "zoo")
    assert uploaded.name in [file.name for file in client.files.list()]
    client.files.delete(name=uploaded.name)
    refused(403, lambda: client.files.get(name=uploaded.name))
    return f"{len(content)} bytes in more than one piece"


def refusals(client):
    refused(404, lambda: client.models.generate_content(model="gpt-4", contents="x"))
    refused(404, lambda: client.models.embed_content(model=MODEL, contents="x"))
    refused(400, lambda: client.models.generate_content(model=MODEL, contents="x", config={"temperature": 9}))


def counters(base):
    with urllib.request.urlopen(f"{base}/_promptgate/counters", timeout=30) as reply:
        counted = json.load(reply)
    assert counted["requests"] > 0 and counted["by_method"]["generateContent"] > 0, counted
    return f"{counted['requests']} requests"


def main(base):
    checks = [
        generate, generate_json, call_function, stream, chat, count, embed, models, batch_inline, batch_file, batch_cancel,
        files, refusals,
    ]  # fmt: skip
    for version in ("v1beta", "v1"):
        client = genai.Client(
            api_key="any-key-0123456789", http_options=types.HttpOptions(base_url=base, api_version=version)
        )
        for work in checks:
            check(f"{version} {work.__name__}", lambda work=work: work(client))
    check("counters", lambda: counters(base))
    print(f"{len(failed)} failed" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.exit(main(sys.argv[1].rstrip("/")))
