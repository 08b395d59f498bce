"""How planes and volumes lie in the patient."""
