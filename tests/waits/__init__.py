"""Whether a wait for jobs tells the truth: torkctl through a proxy that does harm, while everything behind it is killed."""
