module bench;
  logic       tck = 0;
  logic       trst_n, tms;
  logic [3:0] state;
  logic       shift_dr, update_dr, shift_ir, update_ir;

  tap_controller dut (
    .tck(tck), .trst_n(trst_n), .tms(tms), .state(state), .shift_dr(shift_dr), .update_dr(update_dr),
    .shift_ir(shift_ir), .update_ir(update_ir)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [3:0] when_0[0:15], when_1[0:15], want;
  logic       want_update_dr, want_update_ir;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("state", state, want);
    check("shift_dr", shift_dr, want == 4);
    check("shift_ir", shift_ir, want == 11);
    check("update_dr", update_dr, want_update_dr);
    check("update_ir", update_ir, want_update_ir);
  endtask

  // tck is 0 before and after
  task automatic cycle(input logic mode);
    #2 tms = mode;
    #3 tck = 1;
    want = mode ? when_1[want] : when_0[want];
    #2 outputs();
    #3 tck = 0;
    want_update_dr = want == 8;
    want_update_ir = want == 15;
    #1 outputs();
  endtask

  task automatic reset;
    #1 trst_n = 0;
    want = 0;
    want_update_dr = 0;
    want_update_ir = 0;
    #1 outputs();
    trst_n = 1;
  endtask

  initial begin
    for (int s = 0; s < 16; s++) begin  // the second half repeats the first with 7 more
      case (s % 7)
        2: begin when_0[s] = 4'(s + 1); when_1[s] = s == 2 ? 4'd9 : 4'd0; end
        3: begin when_0[s] = 4'(s + 1); when_1[s] = 4'(s + 2); end
        4: begin when_0[s] = 4'(s); when_1[s] = 4'(s + 1); end
        5: begin when_0[s] = 4'(s + 1); when_1[s] = 4'(s + 3); end
        6: begin when_0[s] = 4'(s); when_1[s] = 4'(s + 1); end
        0: begin when_0[s] = s == 0 ? 4'd1 : 4'(s - 3); when_1[s] = s == 0 ? 4'd0 : 4'(s + 1); end
        default: begin when_0[s] = 4'd1; when_1[s] = 4'd2; end
      endcase
    end
    tms = 1;
    trst_n = 1;
    #5 reset();
    cycle(0);
    cycle(1);
    repeat (2) cycle(0);
    cycle(1);
    cycle(1);
    reset();
    for (int round = 0; round < 200; round++) begin
      repeat (40) cycle(1'(random()));
      repeat (5) cycle(1);  // five ones lead to Test-Logic-Reset from everywhere
      check("state after five ones", state, 0);
      if (round % 8 == 0) begin
        repeat (round % 24) cycle(1'(random()));
        reset();
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
