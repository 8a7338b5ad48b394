/** Why runs end as they do, in words; the reasons are a closed list of Mayfly's conditions. */

const WORDS: Record<string, string> = {
  InvalidInput: "An input field is missing, or has a wrong type or value.",
  InvalidSource: "The source can't be run: a syntax error, no entrypoint, or an annotation that is not supported.",
  NotFound: "The pipeline, version, runtime or model does not exist any more.",
  Forbidden: "The pipeline is private to another namespace, or has secrets of it.",
  DepthExceeded: "The run is nested more deeply than the limits allow.",
  ParentEnded: "The run's parent is gone, or ended before this one started.",
  BudgetExceeded: "A budget was spent: the namespace's monthly budget, or that of a run above.",
  Refused: "The run was not accepted.",
  UserError: "main() raised an exception.",
  ImportError: "Importing the source raised an exception, exited, or took too long.",
  TimedOut: "main() ran longer than its timeout.",
  OutOfMemory: "The run used more memory than its limit.",
  Exited: "The process ended by itself: sys.exit, os._exit or a signal.",
  Evicted: "The pod was evicted: too much disk, or its node was drained or short of memory or disk.",
  Lost: "The pod disappeared without a result; of a model's prediction, the outcome is unknown.",
  Canceled: "Someone cancelled the run.",
  QueueDeadlineExceeded: "The run waited in the queue longer than it may.",
  CapacityExhausted: "Every pod was held by a run that waited for a child.",
  StartDeadlineExceeded: "main() was not called in time.",
  OutputTooLarge: "The output is larger than the limit.",
  OutputNotJSON: "The output contains a value that JSON can't represent.",
  SecretUnavailable: "A Secret that the run needs does not exist, or the gateway may not read it.",
  InputFetchFailed: "A file named in the input could not be fetched.",
  OutputUploadFailed: "A file of the output could not be stored.",
  InternalError: "Mayfly itself failed at the run. The message says whose log to read.",
  NotPinned: "The runtime's image is not named by digest.",
  NameConflict: "Something older in the namespace has the same name.",
  Unreachable: "The model's server could not be used; nothing was sent to it.",
};

/** The sentence of a reason; "" for one that is not known here. */
export function because(reason: string | null): string {
  return reason ? (WORDS[reason] ?? "") : "";
}
