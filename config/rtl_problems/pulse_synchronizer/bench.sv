module bench;
  logic source_clk = 0;
  logic target_clk = 0;
  logic source_rst_n, source_pulse, target_rst_n, target_pulse;

  pulse_synchronizer dut (
    .source_clk(source_clk), .source_rst_n(source_rst_n), .source_pulse(source_pulse), .target_clk(target_clk),
    .target_rst_n(target_rst_n), .target_pulse(target_pulse)
  );

  int half_source = 10;
  int half_target = 13;
  always #(half_source) source_clk = ~source_clk;
  always #(half_target) target_clk = ~target_clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int age;       // edges of target_clk since the pulse, -1 without one
  int received;  // cycles in which target_pulse was 1 since then

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // half_source is even and half_target odd, so that rising edges of the two clocks never coincide
  always @(posedge target_clk) if (age >= 0) age++;

  // target_pulse is observed in the middle of each cycle of target_clk
  always @(negedge target_clk) begin
    if (target_rst_n) begin
      if (target_pulse === 1'b1) begin
        received++;
        if (age < 2 || age > 4) check("target_pulse at this edge", target_pulse, 0);
      end else check("target_pulse", target_pulse, 0);
      if (age == 5) check("number of cycles with target_pulse", received, 1);
    end else check("target_pulse in reset", target_pulse, 0);
  end

  task automatic send(input int pause);
    @(negedge source_clk);
    source_pulse = 1;
    @(posedge source_clk);
    age = 0;
    received = 0;
    @(negedge source_clk);
    source_pulse = 0;
    repeat (pause) @(negedge target_clk);
  endtask

  task automatic reset;
    @(negedge target_clk);
    #1;
    source_rst_n = 0;
    target_rst_n = 0;
    age = -1;
    received = 0;
    repeat (2) @(negedge target_clk);
    #1;
    source_rst_n = 1;
    target_rst_n = 1;
    repeat (6) @(negedge target_clk);
    check("number of pulses after the reset", received, 0);
  endtask

  initial begin
    age = -1;
    received = 0;
    source_pulse = 0;
    source_rst_n = 0;
    target_rst_n = 0;
    #3;
    reset();
    for (int ratio = 0; ratio < 6; ratio++) begin
      // both faster and slower targets
      half_source = 10 + 32 * (ratio % 2);
      half_target = 7 + 12 * ratio;
      repeat (4) @(negedge target_clk);
      reset();
      repeat (30) send(7 + int'(random() % 4));
      if (ratio % 2 == 0) begin  // an odd number of pulses before a reset
        send(8);
        reset();
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
