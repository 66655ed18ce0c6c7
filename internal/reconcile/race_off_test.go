//go:build !race

package reconcile

const race = false
