package smap

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMap_KeepsTheLastValueOfEachKey(t *testing.T) {
	var m Map[string, int]
	_, found := m.Load("a")
	require.False(t, found)
	require.Empty(t, m.Values())
	m.Store("a", 1)
	m.Store("a", 2)
	m.Store("b", 3)
	value, found := m.Load("a")
	require.True(t, found)
	require.Equal(t, 2, value)
	require.ElementsMatch(t, []int{2, 3}, m.Values())
}

func TestDelete_RemovesTheKeyThatIsThere(t *testing.T) {
	var m Map[string, int]
	m.Delete("a")
	m.Store("a", 1)
	m.Store("b", 2)
	m.Delete("a")
	require.Equal(t, []int{2}, m.Values())
}

func TestDeleteIf_SparesAnotherValueOfTheKey(t *testing.T) {
	var m Map[string, int]
	isOne := func(value int) bool { return value == 1 }
	m.Store("a", 2)
	m.DeleteIf("a", isOne)
	require.Equal(t, []int{2}, m.Values())
	m.Store("a", 1)
	m.DeleteIf("a", isOne)
	require.Empty(t, m.Values())
}

func TestMap_IsSharedByGoroutines(t *testing.T) {
	var m Map[int, int]
	var all sync.WaitGroup
	for number := range 50 {
		all.Go(func() {
			m.Store(number, number)
			_, found := m.Load(number)
			m.Values()
			if number%2 == 0 {
				m.Delete(number)
			}
			if !found {
				t.Errorf("%d is missing", number)
			}
		})
	}
	all.Wait()
	require.Len(t, m.Values(), 25)
}
