// Package onethread is imported by tests that use testing/synctest, for its
// effect under the race detector.
package onethread
