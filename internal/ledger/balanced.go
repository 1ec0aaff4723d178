package ledger

import (
	"fmt"
	"iter"
)

// Unbalanced adds to broken, by sale, an account whose balance is not the sum
// of its lines. sums holds that sum for every account that has lines; what was
// compared is taken out of it. Outside has no balance to compare with. The
// error is that of balances.
func Unbalanced(balances iter.Seq2[AccountBalance, error], sums map[Account]int64, broken map[string]string) error {
	for balance, err := range balances {
		if err != nil {
			return err
		}
		account := balance.Account
		if sum := sums[account]; sum != balance.Units {
			broken[account.Sale] = unbalanced(account, balance.Units, sum)
		}
		delete(sums, account)
	}
	for account, sum := range sums {
		if account.Name != Outside && sum != 0 {
			broken[account.Sale] = unbalanced(account, 0, sum)
		}
	}
	return nil
}

func unbalanced(account Account, units, sum int64) string {
	return fmt.Sprintf("%s of %s is %d, but its lines add up to %d", account.Name, account.SKU, units, sum)
}
