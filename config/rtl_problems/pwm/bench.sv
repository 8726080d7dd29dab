module bench;
  logic       clk = 0;
  logic       rst_n, pulse, period_start;
  logic [7:0] duty;

  pwm dut (.clk(clk), .rst_n(rst_n), .duty(duty), .pulse(pulse), .period_start(period_start));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int position, active;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("pulse", pulse, position < active);
    check("period_start", period_start, position == 0);
  endtask

  // a whole period; duty changes in it, at the end to the value for the next one
  task automatic period(input logic [7:0] next);
    repeat (256) begin
      #1 outputs();
      duty = position == 255 ? next : 8'(random());
      #1 outputs();
      if (position == 255) active = int'(next);
      position = (position + 1) % 256;
      @(negedge clk);
    end
  endtask

  initial begin
    rst_n = 0;
    duty = 8'd77;
    position = 0;
    active = 0;
    @(negedge clk);
    rst_n = 1;
    period(8'd1);
    period(8'd255);
    period(8'd0);
    period(8'd128);
    period(8'd254);
    repeat (4) period(8'(random()));
    period(8'd200);
    repeat (100) @(negedge clk);
    #2 rst_n = 0;  // in the middle of a pulse
    position = 0;
    active = 0;
    #1 outputs();
    @(negedge clk);
    rst_n = 1;
    period(8'd9);
    period(8'd0);
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
