package reconcile

// maxTries is how many writes an RRset may take in one attempt. The longest
// way is to set it, to find it too long, to make it shorter, to set what is
// left, to add what is missing and to delete what is stale.
const maxTries = 6

// way is how an RRset is written.
type way struct {
	// repair is set once the provider has not done what it was told at first.
	repair bool
	// stuck means that a write of a repair had no effect.
	stuck bool
	tries uint8
	// alone keeps the RRset out of the batch in which it would fail others.
	alone bool
}

// fell notes that the last write has fallen short, as far as is known yet.
func (w *way) fell(effect bool) {
	w.stuck = w.repair && !effect
	w.repair = true
}

// worked notes that the RRset is as desired. The next time it is written as
// at first again, for what was in the way then may be gone.
func (w *way) worked() { *w = way{} }

func (w *way) exhausted() bool { return w.stuck || w.tries >= maxTries }
