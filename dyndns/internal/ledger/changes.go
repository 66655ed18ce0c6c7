package ledger

// maxChanges bounds how many changes are told of. Whoever has missed more
// reads all entries.
const maxChanges = 500

// changes is what this process knows of the file that tells all processes
// which entries have changed of late, so that none has to look at each of
// them. It is written without a lock: a lock of a storage may be slow, and
// that of a dead process looks fresh for a while. Who finds that another has
// overwritten what it told tells it again.
type changes struct {
	// mine are the newest changes of this process, as long as they may have
	// to be told again.
	mine map[string]change
	// unsure are hosts whose stored entry is to be looked at once more, for
	// two processes may have written it at a time.
	unsure map[string]bool
	// behind is set where changes may have been missed.
	behind bool
	// alongside is set once another process has written while this one ran, and
	// together while others are known to.
	alongside, together bool
}

// change is an entry that this process has changed.
type change struct {
	entry *Entry
	// told is set once other processes were told of it.
	told bool
}

func (c *changes) add(e *Entry) {
	c.mine[e.Host], c.unsure[e.Host] = change{entry: e}, true
}
