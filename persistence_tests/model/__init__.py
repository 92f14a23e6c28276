"""Operations, payloads, history, oracle, findings: pure, standard library only."""
