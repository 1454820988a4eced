/** Every bound in one place: value, unit in the name, reason beside it. docs/LIMITS.md lists them; a test compares. */
export const LIMITS = {
  /** Both ends of every gRPC connection; a prompt of 128k ids stays far below. */
  grpcMessageBytes: 4 * 1024 * 1024,
  /** Calls on one connection at once: twice the sequences that a worker runs. */
  grpcCallsMax: 512,
  /** Connections of a worker's port: one for each coordinator and for each worker that sends it states. */
  grpcConnectionsMax: 512,
  /** The first frame of a stream of passes: who sends, and for which bundle. */
  helloBytes: 4096,
  /** How long a stream of passes may be open without it, in milliseconds. */
  helloMs: 5000,
  /** Sent to a worker on one connection, and on one stream of it, and not yet read there: eight frames of activations. */
  receiveWindowBytes: 1024 * 1024,
  /** One frame of activations: loopback latency grows faster than size above this. */
  frameBytes: 128 * 1024,
  /** Same bound as TGI: a longer prompt is refused by the context length anyway. */
  httpBodyBytes: 2 * 1024 * 1024,
  /** Headers of one request; Node's own default. */
  httpHeaderBytes: 16 * 1024,
  /** From the first byte of a request, or the opening of a connection, to the end of its headers, in milliseconds. */
  httpHeadersMs: 10_000,
  /** To the end of the request's body, in milliseconds; how long the answer takes is not bounded. */
  httpRequestMs: 300_000,
  /** How long a client may read nothing of a stream that waits for it, in milliseconds. */
  httpReadMs: 60_000,
  /** The same of a file: what the system takes ahead, more than a megabyte, says nothing while a client reads it. */
  httpFileReadMs: 600_000,
  /** A connection without a request; longer than load balancers keep theirs (60 s), in milliseconds. */
  httpKeepAliveMs: 72_000,
  /** Connections of one HTTP port, idle ones too, whose requests are taken; on those beyond they are refused. */
  httpConnectionsKept: 2048,
  /** Connections of one HTTP port that are looked at at all. */
  httpConnectionsMax: 4096,
  /** Connections of an admin port: probes and scrapers. */
  adminConnectionsMax: 64,
  /** Objects and lists inside each other in a request's body. */
  jsonDepthMax: 64,
  /** Keys in one file; also the names that metrics tell apart. */
  apiKeysMax: 256,
  /** Requests a coordinator holds at once for each model unless told otherwise, running and waiting; the next one is answered 429. */
  requestsInFlight: 256,
  /** The most it can be told to hold: as many as it keeps connections. */
  requestsInFlightMax: 2048,
  /** Models that one coordinator serves: each has a tokenizer in memory, links to its workers and series of its own. */
  modelsMax: 16,
  /** Names whose requests are split over models. */
  splitsMax: 16,
  /** Requests that are run a second time without being answered, at once. */
  shadowsMax: 8,
  /** How long one of them may take, in milliseconds. */
  shadowMs: 60_000,
  /** Share of its model's places in flight, and of its memory, beyond which none starts. */
  shadowLoadShare: 0.5,
  /** Consoles that are open at one coordinator. */
  consoleViewersMax: 16,
  /** Between two frames that a console gets, in milliseconds. */
  consoleEveryMs: 500,
  /** Requests that a coordinator remembers, and what their timelines may take in all. */
  recentRequests: 256,
  recentRequestsBytes: 32 * 1024 * 1024,
  /** Runs and tokens of one request that are kept and exported; each becomes a span. */
  requestRuns: 8192,
  /** Spans that wait for their receiver; about 1 KiB each. */
  traceSpansWaiting: 16_384,
  /** Sequences one request may ask for with `n`. */
  choicesMax: 16,
  stopStringsMax: 16,
  stopStringCharsMax: 256,
  logitBiasMax: 1024,
  /** OpenAI's bound on `top_logprobs`. */
  topLogprobsMax: 20,
  /** Recorded depths of one request. */
  exitDepthsMax: 8192,
  /** Candidates that the head graph returns per row; more need the full logits. */
  headCandidates: 64,
  /** Prompt rows per pass and sequence: long enough to fill the GEMMs, short enough not to stall decoding rows. */
  prefillChunkRows: 64,
  /** Prompt rows that join a run while other sequences decode: what a decoding row waits for beside its own kind. */
  prefillBudgetRows: 64,
  /** Rows in one engine run. */
  stepRowsMax: 256,
  /** Rows of background sequences in one engine run while a worker has others: what their tokens wait for. */
  backgroundRows: 8,
  /** Runs in a row that may leave background sequences out, as runs beside prompts of others do. */
  backgroundWaitRuns: 8,
  /** Prompt rows per pass of a background sequence. */
  backgroundChunkRows: 16,
  /** Rows of a run that our own kernel computes on every processor, and logits of as many; more only through layers that `kernelRowsMax` finds it faster for. */
  kernelRows: 4,
  /** Weights that an engine holds twice, for the graph runtime and for its kernel. */
  kernelWeightBytesMax: 1024 ** 3,
  /** Rows on one link between workers that are sent and not yet granted again: four full runs keep it busy. */
  linkCreditRows: 1024,
  /** Runs told of with the rows of one frame. */
  frameRuns: 1024,
  /** Runs of one sequence that a worker holds until a token or a frame takes them along. */
  runsHeld: 4096,
  /** Rows waiting in a worker's inbox from which on it grants no more to its links. */
  inboxRows: 2048,
  /** States that stay on a GPU between runs, hidden · 4 bytes each. */
  deviceStateRows: 4096,
  /** Typed arrays that may come before a worker looks which young ones are free again: V8 looks at the whole heap after about four times that. */
  youngBufferBytes: 16 * 1024 * 1024,
  /** Positions of K and V in one page. */
  pagePositions: 16,
  /** Passes of a model: pages, routes and exits keep an entry for each, and published models go to 64. */
  passesMax: 256,
  /** Sequences that a worker runs at once. */
  sequencesMax: 256,
  /** How long a worker may be unreachable at start before the coordinator gives up, in milliseconds. */
  workerConnectMs: 10_000,
  /** How long opening a link to NATS waits for a server before it goes on in the background, in milliseconds. */
  natsConnectMs: 2_000,
  /** Between pings to a NATS server; after two that were not answered the connection counts as broken. */
  natsPingMs: 5_000,
  /** A connection that has not finished its TLS handshake by then is closed, in milliseconds. */
  tlsHandshakeMs: 10_000,
  /** A certificate that ends sooner is warned about, in milliseconds. */
  certificateWarnMs: 604_800_000,
  /** A bundle.json that is fetched: a hundred files listed take 20 KiB. */
  manifestBytes: 4 * 1024 * 1024,
  /** How long a pull's lock may go untouched before another takes over, in milliseconds; its holder touches it ten times as often. */
  lockSilenceMs: 30_000,
  /** Files that are followed while they change: keys and certificates. */
  watchedFileBytes: 1024 * 1024,
  /** How often such files are looked at, in milliseconds. */
  watchedFileMs: 2000,
  /** How long a sequence waits for a worker when none answers, in milliseconds. */
  workerWaitMs: 10_000,
  /** How long a recovering sequence waits for room that sequences of other coordinators hold, in milliseconds. */
  roomWaitMs: 30_000,
  /** How long a worker may take to open a sequence on all of its route or to refuse it, in milliseconds. */
  openMs: 10_000,
  /** Workers that one sequence may lose for good without a new token in between. */
  lossesMax: 4,
  /** Losses of one sequence in a row without a new token in between, those of workers that came back among them. */
  lossesInAllMax: 16,
  /** How long a worker that is told to leave waits for its sequences to end or move, and a coordinator for its answers, in milliseconds. */
  drainMs: 15_000,
  /** The longest `--drain-seconds` of a worker, in milliseconds: its sequences move, so that they need not end. */
  drainMaxMs: 20_000,
  /** The longest `--drain-seconds` of a coordinator, in milliseconds: an answer cannot move, so that it must end. */
  answerDrainMaxMs: 3_600_000,
  /** What a process that is told to leave may take beside its drain, in milliseconds: then it leaves anyway. */
  stopMs: 10_000,
  /** Between two pulses of a worker, in milliseconds: how old what placement knows of it may be. */
  pulseMs: 250,
  /** Between two HTTP/2 pings on every connection, from both ends, in milliseconds. */
  pingMs: 500,
  /** How long a ping may go unanswered, in milliseconds: a process that is held up for less loses nobody and is not lost. */
  pingAnswerMs: 5_000,
  /** Turns of `pulseMs` in which a worker says nothing before whoever needs it counts it as lost: below 2 s. */
  silentTurns: 6,
  /** How long one run of a worker's engine may last, or a sequence wait for workers that run nothing, in milliseconds. */
  stillMs: 15_000,
  /** Or as many times what its runs take on average, if that is longer. */
  stillSteps: 100,
  /** How long one run of a worker's engine may last before the worker's process ends itself, in milliseconds. */
  hangMs: 120_000,
  /** Or as many times what its runs take on average, if that is longer. No run has more than 256 times the rows of another. */
  hangSteps: 1000,
  /** The longest `--hang-seconds`, in milliseconds. */
  hangMaxMs: 86_400_000,
  /** How long a worker that said what it must not is given no new sequence; doubled with each further fault, in milliseconds. */
  shunMs: 5_000,
  /** The longest such pause, in milliseconds. */
  shunMaxMs: 300_000,
  /** How long an announcement of a worker lives unless renewed: far more than three times the longest pass. */
  announcementMs: 12_000,
  /** The least time between two announcements that tell only of another load. */
  announcementEveryMs: 1_000,
  /** After NATS was found again, how long no worker is dropped for not being announced. */
  announcementGraceMs: 30_000,
  /** How long the bucket remembers that an announcement was taken down or expired. */
  announcementMarkerMs: 60_000,
  /** An uploaded file; OpenAI's bound for batches. */
  fileBytes: 200 * 1024 * 1024,
  /** Lines in the input of one batch; OpenAI's bound. */
  batchLinesMax: 50_000,
  /** One line of a batch travels as one message, and NATS takes 1 MiB unless told otherwise. */
  batchLineBytes: 512 * 1024,
  /** The answer to one line, stored as one message likewise. */
  batchResultBytes: 960 * 1024,
  batchCustomIdChars: 512,
  /** Faults of an input that are listed; the rest is not read. */
  batchErrorsMax: 100,
  /** Batches that have not ended: every coordinator looks at each about once a second. */
  batchesOpenMax: 64,
  /** Lines of batches that a coordinator runs at once. */
  batchLinesInFlightMax: 64,
  /** Share of the KV memory beyond which no line of a batch starts: the rest is for interactive requests. */
  batchMemoryShare: 0.9,
  /** Share of a model's places beyond which no line of a batch starts. */
  batchInFlightShare: 0.5,
  /** A line or a batch whose coordinator is silent so long goes to another, in milliseconds. */
  batchSilenceMs: 10_000,
  /** The longest `--batch-silence-seconds`, in milliseconds. */
  batchSilenceMaxMs: 600_000,
  /** Times that a line is taken and not answered, its coordinator or its workers being lost with it; the last ones it runs alone. */
  batchDeliveriesMax: 4,
  /** How long a cancelled batch waits for its running lines, in seconds. */
  batchCancelS: 30,
  /** The longest completion window, in seconds: 7 days. */
  batchWindowMaxS: 604_800,
  /** How long an ended batch can be asked for, in milliseconds: 30 days. Its files stay until they are deleted. */
  batchKeptMs: 2_592_000_000,
  /** Rows of one run of `rondo eval`, whose whole rows of logits are held for A and B: 64 of 49,152 are 12 MiB each. */
  evalRows: 64,
  /** K and V of all sequences that `rondo eval` runs side by side; an engine keeps them in one memory of 4 GiB. */
  evalKvBytes: 3 * 1024 * 1024 * 1024,
  /** A suite's file, a text or a file of questions. */
  evalFileBytes: 16 * 1024 * 1024,
} as const;
