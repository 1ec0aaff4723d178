package browsertest

import "testing"

// One browser serves all tests; every tab has storage of its own.
func TestBuyerPage(t *testing.T) {
	browser := start(t)
	for name, walk := range map[string]func(*testing.T, *Browser){
		"the countdown runs on the server's clock and opens the button":   countsDown,
		"an old state from a cache does not move the clock back":          keepsTheNewestClock,
		"a wrong clock of the buyer's changes nothing":                    ignoresTheBuyersClock,
		"a double click is one request and one order":                     pressesOnce,
		"a reload in mid-answer asks with the same key":                   reloadsInMidAnswer,
		"a lost answer is asked for with the same key":                    survivesALostAnswer,
		"the key is stored before the first request leaves":               storesTheKeyFirst,
		"busy answers are waited out and asked again with the same key":   waitsWhenBusy,
		"a pending order is followed until it is decided":                 followsAPendingOrder,
		"a pending order that was lost is asked for with the same key":    asksAgainForALostOrder,
		"a decided no frees the key, an undecided one keeps it":           keepsOrFreesTheKey,
		"offline is said, and the request goes on when the line is back":  goesOffline,
		"sold out, and the button wakes up when units come back":          wakesUp,
		"limit reached links to the order":                                linksToTheOrder,
		"an order is paid, and the way back shows it":                     pays,
		"an order can be given back":                                      givesBack,
		"an expired hold says so and the buyer may try again":             expires,
		"paused and closed are said and disable the button":               pausesAndCloses,
		"a token in the address is used, kept and removed from sight":     takesTheTokenOfTheAddress,
		"the shop's own script may bring the token":                       takesTheTokenOfTheShop,
		"a refused guest token is replaced once":                          renewsAGuest,
		"who is unknown is led to the shop's sign-in":                     leadsToSignIn,
		"a second tab finds the first one's order":                        sharesOneOrder,
		"Chinese readers read Chinese":                                    speaksChinese,
		"the facts are there without JavaScript":                          readsWithoutScript,
		"everything can be done with the keyboard, and the focus goes on": worksByKeyboard,
		"an exported page buys from another origin":                       buysFromAnotherOrigin,
		"an order of a strict sale bears its opening key":                 bearsTheOpeningKey,
		"the page asks when a cache has let go of the state":              asksWhenACacheLetsGo,
		"a crowd that was told the same wait comes back spread out":       waitsLongerThanTold,
		"several units are bought up to the limit":                        buysSeveral,
		"a challenge is solved for the order's key":                       solvesAChallenge,
		"over plain HTTP too, where browsers derive no keys":              solvesOverPlainHTTP,
		"from an exported page too":                                       solvesFromAnotherOrigin,
		"a solution outlives a busy answer":                               keepsTheSolution,
		"a challenge that is not to be had is asked for again":            asksAgainForAChallenge,
		"the shop's own script may solve the challenge":                   letsTheShopSolve,
		"a challenge that nobody can solve ends in words":                 saysThatNobodySolves,
		"a browser that a program steers says so with the challenge":      tellsOfAutomation,
		"the solver is not loaded unless it is needed":                    loadsNoSolver,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, browser)
		})
	}
}
